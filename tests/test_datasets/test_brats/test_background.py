import numpy as np
import pytest

from mmcggm.datasets.brats.background import FULL, background_levels, brain_mask, normalise
from mmcggm.datasets.brats.nifti import CaseError

NAMES = ('a', 'b', 'c', 'd')
SHAPE = (18, 24, 26)


def head(dtype=np.float32):
    """Return a head (4, D, H, W) with a background of 0, and small values below it around the brain."""
    rng = np.random.default_rng(0)
    radius = np.sqrt(
        sum(grid**2 for grid in np.meshgrid(*(np.linspace(-1.3, 1.3, n) for n in SHAPE), indexing='ij'))
    )
    image = rng.integers(100, 900, size=(4, *SHAPE)) * (radius < 1)
    image[1:, (radius < 0.3)] = 0  # where only one sequence has tissue
    rim = (radius >= 1) & (radius < 1.15) & (rng.random(SHAPE) < 0.1)
    image[:, rim] = rng.integers(-9, 0, size=(4, rim.sum()))
    return image.astype(dtype)


def standardised(image):
    """Return each sequence with mean 0 and standard deviation 1 over the whole box."""
    mean, std = (getattr(image, name)(axis=(1, 2, 3), keepdims=True) for name in ('mean', 'std'))
    return (image - mean) / std


def within_brain(image, outside):
    brain = brain_mask(image)
    mean, std = (getattr(image[:, brain], name)(axis=1)[:, None, None, None] for name in ('mean', 'std'))
    return np.where(brain, (image - mean) / std, outside).astype(np.float32)


def scaled(image, low, high):
    smallest, largest = (getattr(image, name)(axis=(1, 2, 3), keepdims=True) for name in ('min', 'max'))
    return (low + (high - low) * (image - smallest) / (largest - smallest)).astype(np.float32)


def padded(image, value):
    return np.pad(image, ((0, 0), (3, 0), (2, 5), (4, 1)), constant_values=value)


BACKGROUNDS = {
    'z-scores of the whole box': standardised,
    'z-scores of the brain in zeros': lambda image: within_brain(image, 0),
    'z-scores of the brain in -9': lambda image: within_brain(image, -9),
    'z-scores of the brain in 5': lambda image: within_brain(image, 5),
    'offset of one': lambda image: image + 1,
    'offset of -1024': lambda image: image - 1024,
    'another offset each': lambda image: image + np.array([1, 0, -7, 300], np.float32)[:, None, None, None],
    'scaled to -1..1': lambda image: scaled(image, -1, 1),
    'scaled to 0..1': lambda image: scaled(image, 0, 1),
    'scaled to 0..255': lambda image: scaled(image, 0, 255),
}


@pytest.mark.parametrize('kind', BACKGROUNDS)
def test_any_constant_background_gives_what_zero_gives(kind):
    image = head()
    expected, filled = normalise(image, NAMES)
    found, found_filled = normalise(BACKGROUNDS[kind](image).astype(np.float32), NAMES)
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert found_filled == filled < FULL


@pytest.mark.parametrize('value', [0, -9, 3])
@pytest.mark.parametrize('kind', ['z-scores of the whole box', 'offset of one', 'scaled to -1..1'])
def test_a_background_that_was_padded_with_another_is_found_behind_it(kind, value):
    image = head()
    expected, _ = normalise(padded(image, 0), NAMES)
    found, _ = normalise(padded(BACKGROUNDS[kind](image), value), NAMES)
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize('kind', BACKGROUNDS)
def test_a_brain_that_touches_the_faces_is_whole(kind):
    cut = (slice(None), slice(5, 12), slice(4, 20), slice(3, 24))
    expected = brain_mask(head())[cut[1:]]
    assert expected[0].any() and expected[:, 0].any()
    np.testing.assert_array_equal(brain_mask(BACKGROUNDS[kind](head())[cut]), expected)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_a_box_without_background_is_all_brain(dtype):
    image = np.random.default_rng(0).integers(20, 60, size=(4, 9, 10, 11)).astype(dtype)
    assert background_levels(image) == []
    _, filled = normalise(image.astype(np.float32), NAMES)
    assert filled == 1 > FULL


def test_a_background_of_noise_is_said_to_be_brain():
    image = head()
    noise = np.random.default_rng(1).uniform(1, 9, size=image.shape).astype(np.float32)
    assert normalise(np.where(image > 0, image, noise), NAMES)[1] > FULL


@pytest.mark.parametrize('value', [0, 7, -3])
def test_a_constant_image_has_no_brain(value):
    with pytest.raises(CaseError, match='the brain is empty'):
        normalise(np.full((4, 5, 6, 7), value, np.float32), NAMES)
    image = head()
    image[2] = value
    with pytest.raises(CaseError, match='c is constant inside the brain'):
        normalise(image, NAMES)
