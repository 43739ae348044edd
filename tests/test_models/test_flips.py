"""Averages over flips of a volume and over an ensemble, of networks of slices and of volumes."""

import weakref
from itertools import combinations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.segmentors import small_unet
from tests.test_models.test_brats_networks_3d import small_unet as small_unet_3d
from tests.test_models.test_region_outputs import region_unet

MODALITIES = ('flair', 't1ce', 't1', 't2')
NETWORKS = {
    'slices': (lambda: small_unet(guided=False), (1, 2)),
    'volumes': (lambda: small_unet_3d(guided=False), (0, 1, 2)),
    'regions': (lambda: region_unet(3, guided=False), (0, 1, 2)),
}


@pytest.fixture(params=NETWORKS)
def segmentor(request):
    """A network and the axes along which it may flip."""
    make, axes = NETWORKS[request.param]
    return make().eval(), axes


def volume_of(shape=(8, 8, 8)):
    return {m: torch.randn(1, *shape) for m in MODALITIES}


@torch.no_grad()
def test_flips_change_nothing_where_the_network_flips_with_its_input(segmentor, monkeypatch):
    """The network is one of voxels and their neighbours, alike on both sides."""
    model, axes = segmentor
    mix = torch.randn(model.out_channels, 4)

    def symmetric(inputs, metas):
        x = torch.cat(list(inputs.values()), dim=1)
        for axis in range(2, x.ndim):
            x = x + 0.5 * (x.roll(1, axis) + x.roll(-1, axis))
        return torch.einsum('km,nm...->nk...', mix, x)

    monkeypatch.setattr(model, 'encode_decode', symmetric)
    volume = volume_of()
    plain = model.volume_probabilities(volume)
    model.test_cfg.flip_axes = axes
    torch.testing.assert_close(model.volume_probabilities(volume), plain)


@torch.no_grad()
def test_flips_are_the_mean_of_the_probabilities_of_all_of_them(segmentor):
    model, axes = segmentor
    volume, expected, count = volume_of(), 0, 0
    for size in range(len(axes) + 1):
        for chosen in combinations([axis + 1 for axis in axes], size):
            logits = model.volume_logits({m: v.flip(chosen) for m, v in volume.items()})
            probabilities = logits.softmax(0) if len(logits) == 4 else logits.sigmoid()
            expected, count = expected + probabilities.flip(chosen), count + 1
    assert count == 2 ** len(axes)
    model.test_cfg.flip_axes = axes
    found = model.volume_probabilities(volume)
    torch.testing.assert_close(found, expected / count)
    # The network isn't symmetric, so that a forgotten flip would show.
    model.test_cfg.flip_axes = axes[:1]
    assert not torch.allclose(model.volume_probabilities(volume), found, atol=1e-5)


@torch.no_grad()
def test_labels_and_probabilities_of_a_prediction_are_those_of_the_flips(segmentor):
    model, axes = segmentor
    model.test_cfg.update(flip_axes=axes, probabilities=True)
    volume = volume_of()
    (found,) = model({m: v[None] for m, v in volume.items()}, mode='predict')
    expected = model.volume_probabilities(volume)
    assert torch.equal(found.probabilities, expected)
    assert torch.equal(found.pred_sem_seg.data, model.outputs.label_map(expected[None])[0])


class Held(TorchDispatchMode):
    """Counts the bytes of the tensors that are made and held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.storages, self.most = [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        self.storages += [
            weakref.ref(t.untyped_storage()) for t in tree_leaves(result) if hasattr(t, 'shape')
        ]
        held = {id(storage): storage.nbytes() for ref in self.storages if (storage := ref()) is not None}
        self.most = max(self.most, sum(held.values()))
        return result


def most_held(model, monkeypatch, flip_axes=(), members=0) -> float:
    """Return how many maps of the probabilities' size are held at once."""
    logits = torch.randn(model.out_channels, 16, 16, 16)
    model.test_cfg.flip_axes = flip_axes
    model.members = [model.state_dict()] * members
    with monkeypatch.context() as patch, Held() as held:
        patch.setattr(model, 'volume_logits', lambda volume: logits.clone())
        patch.setattr(model, 'load_state_dict', lambda weights: None)
        model.volume_probabilities({'t1': torch.zeros(1, 1, 1, 1)})
    return held.most / (4 * logits.numel())


@torch.no_grad()
def test_memory_does_not_grow_with_the_flips_and_the_members(segmentor, monkeypatch):
    model, axes = segmentor
    found = [
        most_held(model, monkeypatch, axes[:1]),
        most_held(model, monkeypatch, axes),
        most_held(model, monkeypatch, members=2),
        most_held(model, monkeypatch, axes, members=5),
    ]
    assert found == pytest.approx([3] * 4, abs=0.01)


def weights_of(model, seed):
    """Return other weights of a network."""
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(v.shape, generator=generator) * 0.3 for n, v in model.state_dict().items()}


@torch.no_grad()
def test_an_ensemble_is_the_mean_of_the_probabilities_of_its_members(segmentor):
    model, axes = segmentor
    model.test_cfg.flip_axes = axes[-1:]
    volume, members = volume_of(), [weights_of(model, seed) for seed in range(3)]
    alone = []
    for weights in members:
        model.load_state_dict(weights)
        alone.append(model.volume_probabilities(volume))
    model.members = members
    torch.testing.assert_close(model.volume_probabilities(volume), sum(alone) / 3)
    model.members = [members[1]] * 2
    torch.testing.assert_close(model.volume_probabilities(volume), alone[1])


def test_an_ensemble_of_slices_is_refused():
    model = small_unet(guided=False)
    model.members = [model.state_dict()] * 2
    with pytest.raises(ValueError, match=r'An ensemble segments volumes .* and got slices'):
        model({m: torch.zeros(1, 1, 16, 16) for m in MODALITIES}, mode='predict')


def test_axes_that_cannot_be_flipped_and_settings_that_are_not_there_are_refused():
    for model, wrong, allowed in [
        (small_unet(guided=False), (0, 1), r'\(1, 2\)'),
        (small_unet_3d(guided=False), (0, 3), r'\(0, 1, 2\)'),
        (small_unet_3d(guided=False), (1, 1), r'\(0, 1, 2\)'),
        (small_unet_3d(guided=False), 0, r'\(0, 1, 2\)'),
        (small_unet_3d(guided=False), 'all', r'\(0, 1, 2\)'),
        (small_unet_3d(guided=False), [[0], [1]], r'\(0, 1, 2\)'),
    ]:
        model.test_cfg.flip_axes = wrong
        with pytest.raises(ValueError, match=rf'`test_cfg\.flip_axes` of a \w+Segmentor must .* {allowed}'):
            model.volume_probabilities(volume_of())


@pytest.mark.parametrize('dims', [2, 3])
def test_a_setting_that_is_not_there_is_named(dims):
    message = r"`test_cfg` of a \w+ has no setting 'flip_axis'\. Did you mean 'flip_axes'"
    with pytest.raises(ValueError, match=message):
        region_unet(dims, test_cfg=dict(flip_axis=(1,)))
    with pytest.raises(ValueError, match=r'`test_cfg\.flip_axes`.* got \(5,\)'):
        region_unet(dims, test_cfg=dict(flip_axes=(5,)))


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        (dict(mode='slide'), r"`test_cfg\.mode` .* must be 'whole', got 'slide'.*VolumeSegmentor slides"),
        (dict(crop_size=(64, 64)), "has no setting 'crop_size'"),
        (dict(slices_per_pass=0), r'`test_cfg\.slices_per_pass` must be an integer of at least 1, got 0'),
        (dict(post_processing=dict(type='KeepLargest')), r'`test_cfg\.post_processing` must be a list'),
    ],
)
def test_what_a_segmentor_of_slices_cannot_do_is_refused_when_it_is_built(setting, message):
    with pytest.raises(ValueError, match=message):
        region_unet(2, test_cfg=setting)
