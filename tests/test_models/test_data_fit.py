"""A predictor that does not fit its data says which setting to change."""

import pytest
import torch
from torch import nn

from mmcggm.models import MultimodalDataPreprocessor
from mmcggm.registry import MODELS


def predictor(**changes):
    config = dict(
        type='MultimodalPredictor',
        backbone=dict(
            type='MultimodalBackbone',
            in_channels=dict(left=5, right=3),
            encoder=dict(type='torchvision.ops.MLP', hidden_channels=[8]),
            fusion=dict(type='ConcatFusion', in_channels=8, dim=8),
        ),
        dim=8,
        outputs=3,
        loss=dict(type='torch.nn.CrossEntropyLoss'),
    )
    return MODELS.build({**config, **changes})


DATA = dict(channels=dict(left=5, right=3), classes=('a', 'b', 'c'), target='class', outputs=3)


def test_what_fits_passes():
    predictor().check_data(DATA)
    predictor().check_data({})
    predictor().check_data(dict(classes=('a', 'b', 'c')))
    predictor(outputs=17, loss=dict(type='torch.nn.L1Loss')).check_data(
        dict(channels=dict(left=5, right=3, more=1), target='regression', outputs=17)
    )


def test_a_modality_without_an_encoder_is_told(monkeypatch):
    told = []
    monkeypatch.setattr('mmcggm.models.predictor.print_log', lambda text, *_: told.append(text))
    predictor().check_data(DATA)
    assert not told
    predictor().check_data({**DATA, 'channels': dict(left=5, right=3, more=1)})
    assert "['more'], for which the model has no encoder" in told[0]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(channels=dict(left=5, right=4)),
            r"'right' of the data has 4 channels.*built for 3.*in_channels\.right",
        ),
        (dict(channels=dict(left=5)), r"hold \['left'\]: add \['right'\] to `inputs`"),
        (
            dict(classes=tuple('abcd'), outputs=4),
            r'`outputs=3`, but the data have 4 classes: set `outputs`.* to 4',
        ),
        (dict(target='regression'), r"`loss` is CrossEntropyLoss, which is for target='class'"),
        (dict(target='multilabel'), r"but the data set has target='multilabel'"),
    ],
)
def test_what_does_not_fit_names_the_setting(changes, message):
    with pytest.raises(ValueError, match=message):
        predictor().check_data({**DATA, **changes})


@pytest.mark.parametrize('setting', ['encoders', 'in_channels'])
def test_a_name_that_a_base_config_left_is_explained(setting):
    backbone = dict(type='MultimodalBackbone', modalities=['left'], encoder=dict(type='torch.nn.Identity'))
    with pytest.raises(ValueError, match=rf"`{setting}` names \['right'\].*_delete_=True"):
        MODELS.build({**backbone, setting: dict(right=dict(type='torch.nn.Identity'))})


def test_statistics_are_saved_with_the_weights():
    first, second = (MultimodalDataPreprocessor(standardise=['x']) for _ in range(2))
    values = torch.randn(6, 3) * 4 + 2
    first.set_statistics('x', values.mean(0), values.std(0, correction=0))
    batch = dict(inputs=dict(x=list(values), y=list(values)))
    out = first(batch)['inputs']
    assert torch.allclose(out['x'].mean(0), torch.zeros(3), atol=1e-6) and torch.equal(out['y'], values)
    whole = nn.ModuleDict(dict(data_preprocessor=second))
    whole.load_state_dict(nn.ModuleDict(dict(data_preprocessor=first)).state_dict())
    assert torch.equal(second(batch)['inputs']['x'], out['x'])


def test_without_statistics_or_with_others_nothing_is_standardised():
    preprocessor = MultimodalDataPreprocessor(standardise=True)
    batch = dict(inputs=dict(x=[torch.ones(3)]))
    with pytest.raises(ValueError, match=r"'x' is to be standardised, but .*StandardisationHook"):
        preprocessor(batch)
    preprocessor.set_statistics('x', torch.zeros(2), torch.ones(2))
    with pytest.raises(ValueError, match=r"'x' has 3 channels, but the statistics are of 2"):
        preprocessor(batch)
