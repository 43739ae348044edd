"""A synthetic phantom of brain tumour MRI: cases in the layout of BraTS without a patient in them.

The anatomy is the MNI152 atlas, deformed anew for each case. What each sequence shows of a tissue
follows from the tissue's relaxation times and the sequence's timing, so the sequences differ in what
they tell as they do in reality: edema is bright in FLAIR and T2, the enhancing rim in T1ce alone.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.interpolate import BSpline

from mmcggm.utils import import_optional

SHAPE = (240, 240, 155)
AFFINE = np.array([[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=float)  # LPS, 1 mm
# The part of SHAPE that is computed: the brains drawn below fit between its sides.
CROP = (slice(36, 204), slice(28, 228), slice(0, 155))
CENTRE = (119, 128, 75)  # where the middle of a brain lies in BraTS, about
NECROSIS, EDEMA, ENHANCING = 1, 2, 3  # training labels


class Tissue(NamedTuple):
    """Proton density, T1 and T2 in ms at 1.5 T, and mmol/l of contrast agent that it takes up."""

    pd: float
    t1: float
    t2: float
    agent: float = 0.0


# Healthy tissue: Kwan et al., IEEE Trans. Med. Imaging 18 (1999) 1085 (BrainWeb). The others are set
# between white matter and water as their contrast in clinical images asks. Flow voids make blood dark
# where the echo is late, which a short T2 imitates.
TISSUES = {
    'gm': Tissue(0.86, 833, 83),
    'wm': Tissue(0.77, 500, 70),
    'csf': Tissue(1.00, 2569, 329),
    'blood': Tissue(0.90, 1400, 30, agent=1.5),
    'edema': Tissue(0.88, 900, 135),
    'necrosis': Tissue(0.95, 1900, 220),
    'enhancing': Tissue(0.86, 850, 95, agent=0.7),
}
RELAXIVITY = 0.0045  # of a gadolinium chelate, in l/mmol/ms


class Sequence(NamedTuple):
    """Ranges in ms of repetition, echo and inversion time (None: no inversion); with contrast agent?"""

    tr: tuple[float, float]
    te: tuple[float, float]
    ti: tuple[float, float] | None = None
    agent: bool = False


SEQUENCES = {
    'flair': Sequence(tr=(8000, 10000), te=(80, 105), ti=(1600, 1850)),
    't1': Sequence(tr=(400, 650), te=(8, 16)),
    't1ce': Sequence(tr=(400, 650), te=(8, 16), agent=True),
    't2': Sequence(tr=(3500, 6000), te=(75, 110)),
}


class Anatomy(NamedTuple):
    """The MNI152 atlas, cropped to the brain, with its axes turned to those of BraTS.

    Attributes:
        gm: Grey matter, float32 (X, Y, Z) in [0, 1], 1 mm.
        wm: White matter, likewise.
        depth: Distance in mm from outside the brain, 0 there, likewise.
        sites: Voxels (N, 3) where a glioma may grow: deep white matter of the cerebrum.
    """

    gm: np.ndarray
    wm: np.ndarray
    depth: np.ndarray
    sites: np.ndarray


class Phantom(NamedTuple):
    """One case: int16 images by modality and the uint8 segmentation in training labels, all of SHAPE."""

    images: dict[str, np.ndarray]
    seg: np.ndarray


@functools.cache
def load_anatomy() -> Anatomy:
    """Load the atlas that nilearn carries; nothing is downloaded.

    Raises:
        ImportError: If nilearn is not installed.
    """
    nilearn = import_optional('nilearn.datasets', extra='demo')
    loaders = (
        nilearn.load_mni152_gm_template,
        nilearn.load_mni152_wm_template,
        nilearn.load_mni152_brain_mask,
    )
    maps = [load(resolution=1) for load in loaders]
    gm, wm, brain = (np.asarray(image.dataobj, dtype=np.float32) for image in maps)
    depth = ndimage.distance_transform_edt(np.pad(brain, 1))[1:-1, 1:-1, 1:-1].astype(np.float32)
    deep = (depth > 12) & (wm > 0.8)
    base = round(float(np.linalg.inv(maps[0].affine)[2, 3]))  # z = 0; below lie brain stem and cerebellum
    deep[:, :, :base] = False
    (box,) = ndimage.find_objects(brain.astype(np.uint8))
    gm, wm, depth, deep = (np.ascontiguousarray(array[box][::-1, ::-1]) for array in (gm, wm, depth, deep))
    return Anatomy(gm, wm, depth, np.argwhere(deep))


def signal(tissue: Tissue, tr: float, te: float, ti: float | None = None, agent: bool = False) -> float:
    """Spin echo signal of a tissue, after an inversion if ``ti`` is given.

    ``pd * |1 - 2 exp(-ti / t1) + exp(-tr / t1)| * exp(-te / t2)``, without an inversion
    ``pd * (1 - exp(-tr / t1)) * exp(-te / t2)``. An agent adds its relaxation rate to 1 / t1.

    Args:
        tissue: The tissue.
        tr: Repetition time in ms.
        te: Echo time in ms.
        ti: Inversion time in ms.
        agent: Whether the contrast agent was given.
    """
    rate = 1 / tissue.t1 + (RELAXIVITY * tissue.agent if agent else 0.0)
    recovery = 1 - np.exp(-tr * rate) if ti is None else 1 - 2 * np.exp(-ti * rate) + np.exp(-tr * rate)
    return float(tissue.pd * abs(recovery) * np.exp(-te / tissue.t2))


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """A smooth Gaussian random field: a cubic B-spline whose control points lie ``scale`` voxels apart.

    Returns:
        float32 array of ``shape``; each voxel is standard normal.
    """
    bases = []
    for size in shape:
        points = np.arange(size) / scale
        basis = BSpline.design_matrix(points, np.arange(-3, int(points[-1]) + 5, dtype=float), 3)
        norm = np.sqrt(basis.power(2).sum(axis=1)).ravel()
        bases.append(basis.multiply(1 / norm[:, None]).astype(np.float32).tocsr())
    field = rng.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    # Each pass interpolates the first axis and moves it to the end. A sparse product, unlike BLAS,
    # gives the same bits whatever the number of threads.
    for basis in bases:
        rest = field.shape[1:]
        field = (basis @ field.reshape(field.shape[0], -1)).T.reshape(*rest, basis.shape[0])
    return field


def linear_grid(matrix: np.ndarray, centre: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``matrix @ (voxel - centre)`` of every voxel, float32 (3, *shape)."""
    x, y, z = np.ogrid[tuple(slice(0, size) for size in shape)]
    offsets = [(axis - middle).astype(np.float32) for axis, middle in zip((x, y, z), centre, strict=True)]
    rows = matrix.astype(np.float32)
    return np.stack([row[0] * offsets[0] + row[1] * offsets[1] + row[2] * offsets[2] for row in rows])


def soft_step(depth: np.ndarray, width: float) -> np.ndarray:
    """0 outside, 1 inside, with a ramp of ``width`` centred on ``depth`` = 0."""
    return np.clip(depth / width + 0.5, 0, 1)


def random_rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Rotation matrix (3, 3) with three Euler angles uniform in ±``degrees``."""
    result = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-degrees, degrees, 3))):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        result = result @ turn
    return result


class Focus(NamedTuple):
    """One focus of a glioma: its centre (3,) in voxels of the crop and the radius of its edema in mm."""

    centre: np.ndarray
    radius: float


class Tissues(NamedTuple):
    """Fractions of the healthy tissues, float32 in [0, 1], and the brain mask; all of the crop's shape."""

    gm: np.ndarray
    wm: np.ndarray
    csf: np.ndarray
    brain: np.ndarray


def deform(rng: np.random.Generator, anatomy: Anatomy, shape: tuple[int, ...]) -> tuple[Tissues, list[Focus]]:
    """Draw an anatomy and where its tumour grows.

    An affine map places the atlas. A free-form deformation (Rueckert et al., IEEE Trans. Med. Imaging
    18 (1999) 712) at two scales makes it another brain, and the tumour pushes tissue outwards.

    Returns:
        The tissues and one or two foci, the larger first.
    """
    centre = np.array(CENTRE) - [part.start for part in CROP] + rng.uniform(-3, 3, 3)
    to_atlas = random_rotation(rng, 5) @ np.diag(1 / rng.uniform(0.88, 0.98, 3))
    middle = np.array(anatomy.depth.shape) / 2

    foci = []
    radius = rng.uniform(11, 34)
    for size in (radius, rng.uniform(0.4, 0.7) * radius)[: 1 + (rng.random() < 0.2)]:
        site = rng.choice(anatomy.sites)
        foci.append(Focus(np.linalg.solve(to_atlas, site - middle) + centre, max(size, 10.0)))

    points = linear_grid(to_atlas, centre, shape)
    for axis in range(3):
        points[axis] += middle[axis]
        points[axis] += 3.5 * smooth_field(rng, shape, 45)
        points[axis] += 1.0 * smooth_field(rng, shape, 13)
    push = rng.uniform(0.0, 0.3)
    for focus in foci:
        away = linear_grid(np.eye(3) / focus.radius, focus.centre, shape)
        points -= push * focus.radius * away * np.exp(-(away**2).sum(axis=0))

    def sample(volume: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(volume, points, output=np.float32, order=1)

    gm, wm = sample(anatomy.gm), sample(anatomy.wm)
    # The atlas averages many brains; squaring its probabilities gives back one brain's sharp borders.
    squares = [fraction**2 for fraction in (gm, wm, np.clip(1 - gm - wm, 0, 1))]
    total = sum(squares)
    gm, wm, csf = (square / total for square in squares)
    # Averaging also filled the sulci: sheets where a random field vanishes fold the cortex again.
    depth = sample(anatomy.depth)
    sulci = np.exp(-(smooth_field(rng, shape, 16) ** 2) / 0.02) * soft_step(14 - depth, 6) * gm
    return Tissues(gm - sulci, wm, csf + sulci, depth > 0.5), foci


def grow_tumour(
    rng: np.random.Generator, tissues: Tissues, foci: list[Focus]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw the tumour.

    Edema spreads along white matter; inside lies a core, whose rim enhances around a necrotic part.
    One core in seven does not enhance, and one in seven of the others has no necrosis.

    Returns:
        Fractions (float32, the crop's shape) of ``edema``, ``enhancing`` and ``necrosis``, each painted
        over the one before it, and the training labels (uint8).
    """
    shape = tissues.brain.shape
    edema, core, inner = (np.full(shape, -np.inf, np.float32) for _ in range(3))
    enhances, necrotic = rng.random() < 0.85, rng.random() < 0.85
    for focus in foci:
        axes = np.exp(rng.uniform(-0.3, 0.3, 3))
        axes *= focus.radius / np.prod(axes) ** (1 / 3)
        grid = linear_grid(random_rotation(rng, 180) / axes[:, None], focus.centre, shape)
        distance = np.sqrt((grid**2).sum(axis=0))
        extent, rim = rng.uniform(0.4, 0.7), rng.uniform(0.2, 0.5)
        outer_noise, core_noise, rim_noise = (
            smooth_field(rng, shape, scale * focus.radius) for scale in (0.6, 0.4, 0.3)
        )
        np.maximum(edema, 1 - distance + 0.22 * outer_noise + 0.4 * (tissues.wm - 0.5), out=edema)
        depth = 1 - distance / extent + 0.25 * core_noise
        np.maximum(core, depth, out=core)
        np.maximum(inner, depth - rim + 0.15 * rim_noise, out=inner)
    edema = ndimage.gaussian_filter(soft_step(edema, rng.uniform(0.1, 0.4)), 1.2) * (1 - tissues.csf)
    core, inner = soft_step(core, 0.1), soft_step(inner, 0.1)
    if not enhances:
        core, inner = np.zeros_like(core), core
    elif not necrotic:
        inner = np.zeros_like(inner)
    fractions = {'edema': edema, 'enhancing': core, 'necrosis': inner}
    seg = np.zeros(shape, np.uint8)
    for name, label in (('edema', EDEMA), ('enhancing', ENHANCING), ('necrosis', NECROSIS)):
        seg[(fractions[name] > 0.5) & tissues.brain] = label
        texture = rng.uniform(0.6, 1.0) + 0.15 * smooth_field(rng, shape, 7)
        fractions[name] = fractions[name] * np.clip(texture, 0.3, 1)
    return fractions, seg


def add_distractors(rng: np.random.Generator, tissues: Tissues) -> dict[str, np.ndarray]:
    """Draw what a healthy brain shows and a segmentation must ignore.

    Returns:
        Fractions as those of :func:`grow_tumour`: white matter lesions, which look like ``edema``, and
        vessels of ``blood``, along the curves where two random fields vanish.
    """
    shape = tissues.brain.shape
    spots = soft_step(smooth_field(rng, shape, 6) - rng.uniform(2.6, 3.6), 0.6)
    away = smooth_field(rng, shape, 22) ** 2 + smooth_field(rng, shape, 22) ** 2
    return {'edema': 0.8 * spots * tissues.wm, 'blood': np.exp(-away / 0.008) * (1 - tissues.wm)}


def scan(
    rng: np.random.Generator, tissues: Tissues, layers: list[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Image the tissues with each of the :data:`SEQUENCES`.

    Timing, resolution, coil sensitivity, noise and gain are drawn anew for each sequence.

    Args:
        rng: Source of randomness.
        tissues: The healthy brain.
        layers: Fractions of further tissues, painted over it in this order.

    Returns:
        int16 images of the crop's shape, 0 outside the brain.
    """
    shape = tissues.brain.shape
    varied = {
        name: tissue._replace(t1=tissue.t1 * rng.uniform(0.9, 1.1), t2=tissue.t2 * rng.uniform(0.95, 1.05))
        for name, tissue in TISSUES.items()
    }
    images = {}
    for modality, sequence in SEQUENCES.items():
        timing = [rng.uniform(*span) for span in (sequence.tr, sequence.te, sequence.ti) if span]
        value = {name: signal(tissue, *timing, agent=sequence.agent) for name, tissue in varied.items()}
        image = value['gm'] * tissues.gm + value['wm'] * tissues.wm + value['csf'] * tissues.csf
        if sequence.ti:  # cerebrospinal fluid that flows in after the inversion stays bright
            inflow = np.clip(smooth_field(rng, shape, 35) - 1, 0, None)
            image += rng.uniform(0, 0.8) * value['wm'] * inflow * tissues.csf
        for layer in layers:
            for name, fraction in layer.items():
                image += fraction * (value[name] - image)
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, (0.7, 0.7, 1.2)))
        image = image[tissues.brain] / value['wm']
        image *= np.exp(0.12 * smooth_field(rng, shape, 110))[tissues.brain]
        noise = rng.uniform(0.015, 0.05) * rng.standard_normal((2, image.size), dtype=np.float32)
        image = np.hypot(image + noise[0], noise[1])  # the magnitude of a complex signal: Rician
        gain = 300 * 2 ** rng.uniform(-1, 1)
        images[modality] = np.zeros(shape, np.int16)
        images[modality][tissues.brain] = np.clip(np.rint(gain * image), 0, np.iinfo(np.int16).max)
    return images


def make_phantom(seed: int, index: int) -> Phantom:
    """Make case ``index``; it depends on ``seed`` and ``index`` alone.

    Raises:
        ImportError: If nilearn is not installed.
    """
    rng = np.random.default_rng([seed, index])
    shape = tuple(part.stop - part.start for part in CROP)
    tissues, foci = deform(rng, load_anatomy(), shape)
    fractions, labels = grow_tumour(rng, tissues, foci)
    images = scan(rng, tissues, [add_distractors(rng, tissues), fractions])

    def uncrop(part: np.ndarray) -> np.ndarray:
        whole = np.zeros(SHAPE, part.dtype)
        whole[CROP] = part
        return whole

    return Phantom({modality: uncrop(image) for modality, image in images.items()}, uncrop(labels))
