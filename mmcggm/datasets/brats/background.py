"""Where the brain is in volumes of it alone, and their standardised intensities."""

from collections.abc import Sequence

import numpy as np

from .nifti import CaseError

SIGNED = 0.1  # of the voxels that differ from the background; interpolation takes less than 0.01 below it
FACE_SHARE = 0.01  # of the box's faces that a constant fills at least, to be the background,
FACE_VOXELS = 16  # and how many of their voxels: in a small box one corner is more than a hundredth
MOST_LAYERS = 3  # constants around one another, such as padding around a background that was standardised
FULL = 0.9  # of the box


def brain_mask(image: np.ndarray) -> np.ndarray:
    """Find the brain in skull-stripped sequences.

    The background is a constant in each sequence, see :func:`background_levels`. The brain is where any
    sequence is above its own: interpolation leaves small values below it around the brain, which are no
    tissue. Where more than a tenth of what differs from the background lies below it, the volumes were
    normalised within the brain, and the brain is where any sequence differs.

    Args:
        image: Shape (M, D, H, W).

    Returns:
        bool, shape (D, H, W). One mask serves all sequences, so that a voxel is background in all of
        them or in none.

    Raises:
        CaseError: If there is no brain.
    """
    layers = background_levels(image) or [np.zeros(len(image))]
    brain = _differs(image, layers[0])
    for levels in layers[1:]:
        brain = _differs(image, levels, within=brain)
    if not brain.any():
        raise CaseError('the brain is empty: no sequence has a value above its background')
    return brain


def background_levels(image: np.ndarray) -> list[np.ndarray]:
    """Find the constants, one a sequence, that surround the brain.

    They are those that the corners or the edges' middles of the box hold in all sequences at once, if they
    fill a hundredth of its faces: tissue never repeats its values in all sequences so often. What
    remains is searched in the same way within its own box, since a background may have been padded with
    another constant.

    Args:
        image: Shape (M, D, H, W).

    Returns:
        Arrays (M,), the outermost first; none if the brain fills the box or the background is no constant.
    """
    layers: list[np.ndarray] = []
    while len(layers) < MOST_LAYERS and image.size:
        faces = [image[(slice(None),) * axis + (end,)] for axis in (1, 2, 3) for end in (0, -1)]
        faces = [face.reshape(len(image), -1) for face in faces]
        known = {tuple(levels) for levels in layers}
        held = {levels: _held(faces, levels) for levels in {*map(tuple, _rim(image))} - known}
        levels = max(sorted(held), key=held.__getitem__, default=None)
        if levels is None or held[levels] < max(
            FACE_VOXELS, FACE_SHARE * sum(face.shape[1] for face in faces)
        ):
            break
        layers.append(np.array(levels, dtype=image.dtype))
        image = image[(slice(None), *_box((image != layers[-1][:, None, None, None]).any(axis=0)))]
    return layers


def _rim(image: np.ndarray) -> Sequence[np.ndarray]:
    """Return what the 8 corners and the middles of the 12 edges hold."""
    places = [
        (z, y, x)
        for z in (0, image.shape[1] // 2, -1)
        for y in (0, image.shape[2] // 2, -1)
        for x in (0, image.shape[3] // 2, -1)
    ]
    ends = (0, -1)
    return [image[(slice(None), *place)] for place in places if sum(index in ends for index in place) >= 2]


def _held(faces: Sequence[np.ndarray], levels: tuple[float, ...]) -> int:
    """Return how many of the faces' voxels, (M, N) each, hold ``levels`` in all sequences."""
    column = np.array(levels, dtype=faces[0].dtype)[:, None]
    return sum(np.count_nonzero((face == column).all(axis=0)) for face in faces)


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds all true voxels."""
    box = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(inside[0], inside[-1] + 1) if inside.size else slice(0))
    return tuple(box)


def _differs(image: np.ndarray, levels: np.ndarray, within: np.ndarray | bool = True) -> np.ndarray:
    """Return where, ``within`` a mask, any sequence lies above its level; if many lie below, beside it."""
    levels = levels.astype(image.dtype)[:, None, None, None]
    above, below = image > levels, image < levels
    if within is not True:
        above, below = above & within, below & within
    signed = np.count_nonzero(below) > SIGNED * (np.count_nonzero(above) + np.count_nonzero(below))
    return (above | below if signed else above).any(axis=0)


def normalise(image: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, float]:
    """Standardise each sequence over the brain, and set everything else to 0.

    Args:
        image: float32, shape (M, D, H, W).
        names: Of the M sequences.

    Returns:
        float32, shape (M, D, H, W), with mean 0 and standard deviation 1 over the brain; and the share
        of the box that the brain fills.

    Raises:
        CaseError: If there is no brain, or a sequence is constant inside it.
    """
    brain = brain_mask(image)
    result = np.zeros_like(image)
    for name, source, target in zip(names, image, result, strict=True):
        values = source[brain]
        if values.min() == values.max():
            raise CaseError(
                f'{name} is constant inside the brain; if it was never taken, remove its file and take the '
                'case with `--allow-missing`'
            )
        target[brain] = (values - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
    return result, float(brain.mean())
