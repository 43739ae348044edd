"""The order of the modalities is a part of what fusion learned."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.test_models.predictors import build

WIDTHS = dict(shape=5, texture=5, margin=5)


def model(order, **encoders) -> nn.Module:
    """A backbone whose modalities are in any order."""
    layer = dict(type='torch.nn.Linear', in_features=5, out_features=5)
    return build(
        dict(
            type='MultimodalBackbone',
            modalities=tuple(order),
            encoders={name: encoders.get(name, layer) for name in order},
            fusion=dict(type='ConcatFusion', in_channels=5, dim=4),
        )
    )


@given(learned=st.permutations([*WIDTHS]), given_order=st.permutations([*WIDTHS]))
def test_weights_bring_the_order_that_they_were_learned_in(learned, given_order):
    trained, other = model(learned), model(given_order)
    for parameter in trained.parameters():
        nn.init.normal_(parameter)
    other.load_state_dict(trained.state_dict())
    inputs = {name: torch.randn(3, width) for name, width in WIDTHS.items()}
    torch.testing.assert_close(other(inputs), trained(inputs), rtol=0, atol=0)
    assert list(other.state_dict()) == list(trained.state_dict())


def test_an_order_that_the_weights_do_not_tell_is_refused():
    weightless = dict(shape=dict(type='torch.nn.Identity'))
    trained, other = (
        model(('shape', 'texture', 'margin'), **weightless),
        model(('margin', 'shape', 'texture'), **weightless),
    )
    with pytest.raises(
        RuntimeError, match=r"in the order \['texture', 'margin'\].*set `backbone.modalities`"
    ):
        other.load_state_dict(trained.state_dict())


def test_widths_that_fusion_was_not_built_for_are_named():
    """Also in the order that weights have brought."""
    narrow = dict(type='torch.nn.Linear', in_features=5, out_features=3)
    learned = model(['texture', 'margin', 'shape'])
    other = model(['shape', 'texture', 'margin'])
    other.load_state_dict(learned.state_dict())
    other.encoders['margin'] = build(narrow)
    inputs = {name: torch.zeros(2, width) for name, width in WIDTHS.items()}
    with pytest.raises(ValueError, match=r"'texture' 5, 'margin' 3, 'shape' 5\. .* to \[5, 3, 5\], or"):
        other(inputs)
