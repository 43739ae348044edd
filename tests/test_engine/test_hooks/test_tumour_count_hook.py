"""A test of which each case is predicted as background alone says so, and no other does."""

from types import SimpleNamespace

import pytest
import torch

from mmcggm.engine.hooks import TumourCountHook

NOTHING, TUMOUR = torch.zeros(1, 4, 4), torch.eye(4).unsqueeze(0)


def warnings_of(*cases, finite=True):
    """Return what a test says of pairs of prediction and reference; None is none."""
    said = []
    runner = SimpleNamespace(logger=SimpleNamespace(log=lambda level, text: said.append(text)))
    hook = TumourCountHook()
    hook.before_test_epoch(runner)
    for index, case in enumerate(cases):
        fields = dict(zip(('pred_sem_seg', 'gt_sem_seg'), case, strict=True))
        sample = {k: SimpleNamespace(data=labels) for k, labels in fields.items() if labels is not None}
        hook.after_test_iter(runner, index, None, [SimpleNamespace(finite=finite, **sample)])
    hook.after_test_epoch(runner, {})
    return said


@pytest.mark.parametrize('truth', [TUMOUR, None])
def test_background_alone_is_told(truth):
    (text,) = warnings_of((NOTHING, truth), (NOTHING, NOTHING))
    assert text.startswith('Each of 2 cases is predicted as background alone.')
    (text,) = warnings_of((NOTHING, truth))
    assert text.startswith('The only case is')


def test_a_tumour_in_a_case_and_healthy_cases_are_as_they_should_be():
    assert not warnings_of((NOTHING, TUMOUR), (TUMOUR, TUMOUR))
    assert not warnings_of((NOTHING, NOTHING), (NOTHING, NOTHING))
    assert not warnings_of((None, None))  # no segmentor
    assert not warnings_of()


def test_what_other_models_give_is_none_of_its_business():
    hook = TumourCountHook()
    hook.before_test_epoch(None)
    for outputs in (torch.zeros(2, 3), dict(pred=torch.zeros(2)), [dict(pred_label=1)], None):
        hook.after_test_iter(None, 0, None, outputs)
    hook.after_test_epoch(None, {})


def test_predictions_that_are_no_numbers_are_told():
    (text,) = warnings_of((NOTHING, TUMOUR), (TUMOUR, TUMOUR), finite=False)
    assert text.startswith('In 2 of 2 cases the network gives NaN')
