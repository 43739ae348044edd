"""Losses and scores of guides, for each kind of task."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import PixelData
from torch import nn
from torch.nn import functional as F

from mmcggm.balancers.scores import scores_from_counts
from mmcggm.guided import ClassificationTask, MultiLabelTask, RegressionTask, SegmentationTask
from mmcggm.guided.tasks import find_target


class WithLoss(nn.Module):
    """A model that holds a loss module."""

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.head = nn.ModuleDict(dict(criterion=criterion))


def score(counts: torch.Tensor) -> float:
    return scores_from_counts(counts.unsqueeze(0)).item()


@pytest.mark.parametrize('column', [False, True])
def test_classification_by_hand(column):
    logits = torch.tensor([[2.0, 1, 0], [0, 1, 0], [0, 1, 2], [3, 0, 0]])
    label = torch.tensor([0, 1, 0, 0])
    batch = dict(label=label.unsqueeze(1) if column else label)
    task = ClassificationTask('label')
    assert task.counts(None, logits, batch).tolist() == [[3, 4]]
    torch.testing.assert_close(task.loss(None, logits, batch), F.cross_entropy(logits, label))


def test_classification_of_probabilities_and_of_dense_labels():
    task, logits = ClassificationTask('target'), torch.randn(4, 3)
    soft = torch.eye(3)[[0, 1, 2, 0]] * 0.8 + 0.2 / 3
    torch.testing.assert_close(task.loss(None, logits, dict(target=soft)), F.cross_entropy(logits, soft))
    hits = (logits.argmax(1) == torch.tensor([0, 1, 2, 0])).sum()
    assert task.counts(None, logits, dict(target=soft)).tolist() == [[hits, 4]]

    dense, labels = torch.randn(2, 3, 5, 4), torch.randint(0, 3, (2, 5, 4), dtype=torch.uint8)
    assert task.counts(None, dense, dict(target=labels))[0, 1] == 40
    pooled = task.loss(None, dense, dict(target=labels[:, 0, 0]))  # one label a sample
    torch.testing.assert_close(pooled, F.cross_entropy(dense.mean((2, 3)), labels[:, 0, 0].long()))


@pytest.mark.parametrize('shape', [(4,), (4, 1), (4, 3)])
def test_regression_by_hand(shape):
    target, prediction = torch.randn(shape), torch.randn(shape)
    batch = dict(score=target)
    hits = ((prediction > 0) == (target > 0)).sum()
    assert RegressionTask('score').counts(None, prediction, batch).tolist() == [[hits, target.numel()]]
    for loss, function in [('l1', F.l1_loss), ('mse', F.mse_loss)]:
        task = RegressionTask('score', loss, score='negative_loss')
        torch.testing.assert_close(task.loss(None, prediction, batch), function(prediction, target))
        assert score(task.counts(None, prediction, batch)) == pytest.approx(-function(prediction, target))


def test_regression_does_not_broadcast():
    prediction, target = torch.randn(4, 1), torch.randn(4)
    expected = F.l1_loss(prediction.squeeze(1), target)
    task = RegressionTask('score')
    torch.testing.assert_close(task.loss(None, prediction, dict(score=target)), expected)
    assert task.counts(None, prediction, dict(score=target))[0, 1] == 4


@settings(max_examples=20)
@given(size=st.integers(2, 9), cut=st.integers(1, 8), seed=st.integers(0, 100))
def test_counts_of_parts_are_those_of_the_whole(size, cut, seed):
    generator = torch.Generator().manual_seed(seed)
    logits, value = torch.randn(size, 3, generator=generator), torch.randn(size, generator=generator)
    batch = dict(label=torch.randint(0, 3, (size,), generator=generator), value=value)
    cases = [
        (ClassificationTask('label'), logits),
        (RegressionTask('value'), logits[:, :1]),
        (RegressionTask('value', score='negative_loss'), logits[:, 0]),
    ]
    cut = min(cut, size - 1)
    for task, prediction in cases:
        parts = [
            task.counts(None, prediction[part], {k: v[part] for k, v in batch.items()})
            for part in (slice(cut), slice(cut, None))
        ]
        torch.testing.assert_close(sum(parts), task.counts(None, prediction, batch))


def test_loss_may_be_a_module_of_the_model():
    model = WithLoss(nn.CrossEntropyLoss(label_smoothing=0.3))
    logits, label = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    task = ClassificationTask('label', loss='head.criterion')
    task.check(model)
    found = task.loss(model, logits, dict(label=label))
    torch.testing.assert_close(found, F.cross_entropy(logits, label, label_smoothing=0.3))


def test_bad_losses_are_named():
    with pytest.raises(ValueError, match=r"`task\.loss`.*'head\.criterium'.*'head\.criterion'"):
        ClassificationTask('label', loss='head.criterium').check(WithLoss(nn.CrossEntropyLoss()))
    task, model = RegressionTask('y', loss='head.criterion'), WithLoss(nn.L1Loss(reduction='none'))
    with pytest.raises(
        ValueError, match=r"`task\.loss`: 'head\.criterion' returned Tensor\(2,\), not a scalar"
    ):
        task.loss(model, torch.zeros(2), dict(y=torch.zeros(2)))
    with pytest.raises(ValueError, match=r"`task\.score` must be 'sign' or 'negative_loss', got 'r2'"):
        RegressionTask('y', score='r2')


@pytest.mark.parametrize(
    ('task', 'prediction', 'target', 'message'),
    [
        (
            ClassificationTask('y'),
            (4, 1),
            torch.zeros(4, dtype=torch.long),
            r'at least two classes.*\(4, 1\)',
        ),
        (ClassificationTask('y'), (4,), torch.zeros(4, dtype=torch.long), r'predicts \(4,\)'),
        (
            ClassificationTask('y'),
            (4, 3),
            torch.zeros(5, dtype=torch.long),
            r"'y' holds torch.int64 .* \(5,\)",
        ),
        (ClassificationTask('y'), (4, 3), torch.zeros(4), r'torch.float32 of shape \(4,\)'),
        (RegressionTask('y'), (4,), torch.zeros(4, 1), r'predicts \(4,\) and .* holds \(4, 1\)'),
        (RegressionTask('y'), (4, 2), torch.zeros(4), r'predicts \(4, 2\) and .* holds \(4,\)'),
    ],
)
def test_shapes_that_do_not_fit_are_named(task, prediction, target, message):
    with pytest.raises(ValueError, match=message):
        task.loss(None, torch.zeros(prediction), dict(y=target))
    with pytest.raises(ValueError, match=message):
        task.counts(None, torch.zeros(prediction), dict(y=target))


def test_one_logit_may_have_targets_without_an_axis_of_labels():
    task, prediction = MultiLabelTask('target'), torch.tensor([[2.0], [-1.0], [0.5]])
    flat, column = (dict(target=torch.tensor([1.0, 0.0, 0.0]).view(shape)) for shape in ((3,), (3, 1)))
    assert task.loss(None, prediction, flat) == task.loss(None, prediction, column)
    assert torch.equal(task.counts(None, prediction, flat), task.counts(None, prediction, column))
    with pytest.raises(ValueError, match='One logit for two classes is of a MultiLabelTask'):
        ClassificationTask('target').loss(None, prediction, flat)


@pytest.mark.parametrize('kind', [MultiLabelTask, RegressionTask])
@pytest.mark.parametrize(
    ('prediction', 'target', 'is_said'),
    [
        ((5, 3), torch.arange(5) % 3, True),
        ((5, 3, 2, 2), torch.zeros(5, 2, 2, dtype=torch.uint8), True),
        ((5, 3), torch.rand(5), False),
        ((5, 3), torch.zeros(5, 2, dtype=torch.long), False),
        ((5, 3), torch.zeros(4, dtype=torch.long), False),
    ],
)
def test_class_indices_are_said_to_be_of_a_classification(kind, prediction, target, is_said):
    with pytest.raises(ValueError, match=r'the same shape|of one shape') as raised:
        kind('y').loss(None, torch.zeros(prediction), dict(y=target))
    hint = "Indices of 3 classes, one a sample, are of ClassificationTask: in `mmcggm.balance`, `task='class"
    assert (hint in str(raised.value)) == is_said


def test_targets_are_found_in_samples_and_dicts():
    samples = [SimpleNamespace(gt=dict(label=torch.tensor([i]), number=i)) for i in range(3)]
    batch = dict(inputs=None, data_samples=samples, y=dict(a=torch.arange(2)))
    assert find_target(batch, 'data_samples.gt.label').tolist() == [[0], [1], [2]]
    assert find_target(batch, 'data_samples.gt.number').tolist() == [0, 1, 2]
    assert find_target(batch, 'y.a').tolist() == [0, 1]


def test_targets_are_found_in_mmpretrain_samples():
    from mmpretrain.structures import DataSample

    samples = [DataSample().set_gt_label(label) for label in (2, 0)]
    logits = torch.eye(3)[[2, 1]]
    task = ClassificationTask('data_samples.gt_label')
    assert task.counts(None, logits, dict(data_samples=samples)).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('label', r"no 'label' of 'label' in \['inputs', 'data_samples'\]"),
        ('data_samples.label', "no 'label' of 'data_samples.label' in a SimpleNamespace"),
        ('inputs', "'inputs' is NoneType, not a tensor"),
    ],
)
def test_missing_targets_are_named(path, message):
    with pytest.raises(ValueError, match=rf'`task\.target`: {message}'):
        find_target(dict(inputs=None, data_samples=[SimpleNamespace(gt=1)]), path)


class Segmentor(nn.Module):
    def __init__(self, **settings) -> None:
        super().__init__()
        from mmseg.models import FCNHead

        self.decode_head = FCNHead(in_channels=2, channels=2, num_convs=0, concat_input=False, **settings)


def seg_samples(labels: torch.Tensor) -> dict:
    return dict(data_samples=[SimpleNamespace(gt_sem_seg=PixelData(data=y.unsqueeze(0))) for y in labels])


def test_segmentation_leaves_ignored_pixels_out():
    labels = torch.tensor([[[1, 255], [0, 255]]])
    logits = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    task = SegmentationTask(score=dict(type='SliceDice', regions=dict(one=(1,))))
    counts = task.counts(Segmentor(num_classes=3), logits.unsqueeze(0), seg_samples(labels))
    assert score(counts) == pytest.approx(1)


def test_segmentation_with_one_logit_a_pixel():
    model = Segmentor(
        num_classes=2,
        out_channels=1,
        threshold=0.3,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    task = SegmentationTask(score=dict(type='SliceDice', regions=dict(one=(1,))))
    task.check(model)
    probability = torch.tensor([[[[0.29, 0.31], [0.9, 0.1]]]])
    labels = torch.tensor([[[0, 1], [1, 0]]])
    batch = seg_samples(labels)
    assert score(task.counts(model, probability.logit(), batch)) == pytest.approx(1)
    assert score(task.counts(model, (1 - probability).logit(), batch)) < 0.7
    assert task.loss(model, probability.logit(), batch).ndim == 0


def test_segmentation_settings_that_do_not_fit_are_named():
    model = Segmentor(num_classes=3)
    with pytest.raises(ValueError, match=r"`task\.head`.*'decode_haed'.*'decode_head'"):
        SegmentationTask(head='decode_haed').check(model)
    with pytest.raises(ValueError, match=r"'decode_head\.conv_seg' is a Conv2d without `loss_decode`"):
        SegmentationTask(head='decode_head.conv_seg').check(model)
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    with pytest.raises(ValueError, match=r'of 4 classes, but the prediction has 3\. Name yours'):
        SegmentationTask().counts(model, torch.zeros(1, 3, 2, 2), seg_samples(labels))


@pytest.mark.parametrize('axes', [2, 3])
def test_labels_are_sampled_where_guides_are_judged_on_their_own_grid(axes):
    """Labels that were enlarged are brought back, so all is as with the small ones."""
    generator = torch.Generator().manual_seed(axes)
    small = torch.randint(0, 3, (2, *(4,) * axes), generator=generator)
    large = small
    for axis in range(1, axes + 1):
        large = large.repeat_interleave(2, axis)
    logits = torch.randn(2, 3, *(4,) * axes, generator=generator)
    shape = (lambda y: y.unsqueeze(0)) if axes == 2 else (lambda y: y)
    few, many = (
        dict(data_samples=[SimpleNamespace(gt_sem_seg=PixelData(data=shape(y))) for y in labels])
        for labels in (small, large)
    )
    model = Segmentor(num_classes=3)
    task = SegmentationTask(score='PixelAccuracy', grid='guide')
    fitted = task.fit(model, logits, many)
    assert torch.equal(fitted, logits)
    for judge in (task.loss, task.counts, task.confidences):
        torch.testing.assert_close(judge(model, fitted, many), judge(model, logits, few))
    assert SegmentationTask().fit(model, logits, many).shape == (2, 3, *(8,) * axes)
    with pytest.raises(ValueError, match=r"`task\.grid` must be 'labels' or 'guide', got 'voxels'"):
        SegmentationTask(grid='voxels')
