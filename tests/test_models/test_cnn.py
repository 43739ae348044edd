"""SmallCNN: shapes, and a result that does not depend on the batch."""

import pytest
import torch

from mmcggm.models import SmallCNN


@pytest.mark.parametrize('size', [(8, 8), (40, 50), (4, 5)])
def test_vectors_of_any_size_of_image(size):
    network = SmallCNN(in_channels=2, channels=(4, 6, 8))
    assert network(torch.rand(3, 2, *size)).shape == (3, 8)


def test_too_small_an_image_is_refused():
    with pytest.raises(ValueError, match='at least 4 x 4'):
        SmallCNN(channels=(4, 6, 8))(torch.rand(1, 1, 3, 8))


def test_a_stride_of_two_sees_every_other_pixel_of_the_first_convolution():
    torch.manual_seed(0)
    dense, strided = SmallCNN(channels=(4,)), SmallCNN(channels=(4,), stride=2)
    strided.load_state_dict(dense.state_dict())
    x = torch.rand(2, 1, 9, 8)
    expected = dense.layers(x)[:, :, ::2, ::2].mean(dim=(2, 3))
    torch.testing.assert_close(strided(x), expected)
    with pytest.raises(ValueError, match='at least 8 x 8'):
        SmallCNN(channels=(4, 6, 8), stride=2)(torch.rand(1, 1, 7, 8))


def test_samples_are_independent_without_batch_statistics():
    torch.manual_seed(0)
    network = SmallCNN(channels=(4, 8), norm_cfg=dict(type='GN', num_groups=2))
    x = torch.rand(5, 1, 8, 8)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


def test_a_translation_by_the_stride_moves_nothing_but_the_border():
    torch.manual_seed(0)
    network = SmallCNN(channels=(4, 8))
    x = torch.zeros(1, 1, 16, 16)
    x[..., 6:9, 6:9] = torch.rand(3, 3)
    torch.testing.assert_close(network(x), network(x.roll(2, dims=-1)))
