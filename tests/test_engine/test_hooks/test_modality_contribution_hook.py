"""ModalityContributionHook: scores of all subsets, Shapley values and utilisation."""

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmcggm.engine import GuideScoreHook, ModalityContributionHook
from mmcggm.engine.hooks.modality_contribution_hook import contributions, representation_means
from mmcggm.guided import GuidedModel, RegressionTask
from mmcggm.registry import MODELS
from tests.processes import run_processes
from tests.tiny import Accuracy, TinyClassifier, TinyData, TinyGuide, tiny_guided, tiny_runner

METRICS = ('subset', 'shapley', 'utilisation')


def contribution(metrics: dict) -> dict:
    """Return the metrics that the hook added."""
    return {name: value for name, value in metrics.items() if name.split('/')[0] in METRICS}


def contributing_runner(
    work_dir: Path, hooks: list | None = None, data: Dataset | None = None, **overrides
) -> Runner:
    """Return a runner that trains, validates and tests on batches of 16, the last of them smaller."""
    loader = dict(
        dataset=TinyData(37) if data is None else data,
        batch_size=16,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=default_collate,
    )
    settings = dict(hooks=[ModalityContributionHook()] if hooks is None else hooks)
    for split in ('val', 'test'):
        settings |= {f'{split}_dataloader': loader, f'{split}_cfg': {}, f'{split}_evaluator': [Accuracy()]}
    return tiny_runner(work_dir, **{**settings, **overrides})


@torch.no_grad()
def expected_subsets(model: GuidedModel, data: TinyData, mask: str) -> dict[str, float]:
    """Return the accuracy with each subset, computed from the parts of the model on all data at once."""
    inner = model.model
    whole = {'left': inner.left_encoder(data.left), 'right': inner.right_encoder(data.right)}
    found = {}
    for names in ((), ('left',), ('right',), ('left', 'right')):
        total = sum(
            h if m in names else (h.mean(0).expand_as(h) if mask == 'mean' else torch.zeros_like(h))
            for m, h in whole.items()
        )
        hits = inner.classifier(torch.tanh(total)).argmax(1) == data.label
        found[f'subset/{"+".join(names) or "none"}'] = hits.double().mean().item()
    return found


@pytest.mark.parametrize('mask', ['mean', 'zero'])
def test_subsets_are_scored_on_the_whole_data_set(tmp_path, mask):
    runner = contributing_runner(tmp_path, [ModalityContributionHook(mask)])
    runner.train()
    metrics = runner.test()
    expected = expected_subsets(runner.model, TinyData(37), mask)
    both, none = expected['subset/left+right'], expected['subset/none']
    left, right = expected['subset/left'], expected['subset/right']
    assert len({left, right, both}) == 3, 'a model whose subsets differ'
    shapley = (left - none + both - right) / 2, (right - none + both - left) / 2
    expected |= {
        'shapley/left': shapley[0],
        'shapley/right': shapley[1],
        'shapley/spread': abs(shapley[0] - shapley[1]),
        'utilisation/left': (both - right) / both,
        'utilisation/right': (both - left) / both,
    }
    assert contribution(metrics) == pytest.approx(expected)
    assert metrics['accuracy'] == pytest.approx(both)


class AdditiveRegressor(BaseModel):
    """The sum of all modalities' inputs; ``weights`` says how much of each arrives."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in weights)
        for encoder, weight in zip(self.encoders, weights, strict=True):
            nn.init.constant_(encoder.weight, weight)
        self.head = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.head.weight)

    def forward(self, inputs, target, mode='tensor'):
        prediction = self.head(sum(e(x) for e, x in zip(self.encoders, inputs.unbind(1), strict=True)))
        if mode == 'loss':
            return dict(loss=(prediction - target).square().mean())
        return prediction if mode == 'tensor' else list(prediction[:, 0] == target[:, 0])


class Planted(Dataset):
    """``M`` inputs of one feature, uncorrelated over the data set, and their weighted sum as the target."""

    def __init__(self, weights: list[float]) -> None:
        axes = torch.meshgrid(*[torch.tensor([-1.0, 1.0])] * len(weights), indexing='ij')
        self.inputs = torch.stack([axis.flatten() for axis in axes], dim=1).unsqueeze(-1)
        self.target = (self.inputs * torch.tensor(weights).view(-1, 1)).sum(1)

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=self.inputs[index], target=self.target[index])


def planted_metrics(tmp_path: Path, weights: list[float], score: str = 'negative_loss') -> dict:
    """Test a perfect regressor of ``Planted`` data."""
    names = 'abcdefg'[: len(weights)]
    model = tiny_guided(
        model=AdditiveRegressor(weights),
        encoders={name: f'encoders.{index}' for index, name in enumerate(names)},
        head='head',
        guide=dict(type='AutoGuide'),
        task=RegressionTask('target', 'mse', score),
    )
    return contributing_runner(tmp_path, data=Planted(weights), model=model).test()


@pytest.mark.parametrize('weights', [[1.0, 2.0], [2.0, 0.0, 1.0], [1.0, 1.5, 2.0, 0.5, 1.0, 0.0]])
def test_shapley_values_of_an_additive_game_are_its_summands(tmp_path, weights):
    """Without modality ``i`` the mean square error grows by ``w_i²``, whatever else is there."""
    metrics = planted_metrics(tmp_path, weights)
    squares = [weight**2 for weight in weights]
    for name, square in zip('abcdef', squares, strict=False):
        assert metrics[f'shapley/{name}'] == pytest.approx(square, abs=1e-5)
        assert metrics[f'subset/{name}'] == pytest.approx(square - sum(squares), abs=1e-5)
    assert metrics['shapley/spread'] == pytest.approx(max(squares) - min(squares), abs=1e-5)
    assert sum(name.startswith('subset/') for name in metrics) == 2 ** len(weights)


def test_one_modality_that_carries_everything(tmp_path):
    metrics = planted_metrics(tmp_path, [0.0, 3.0, 0.0], score='sign')
    assert metrics['subset/b'] == metrics['subset/a+b+c'] == 1
    assert metrics['subset/none'] == metrics['subset/a+c'] == 0.5
    assert [metrics[f'utilisation/{m}'] for m in 'abc'] == pytest.approx([0, 0.5, 0])
    assert [metrics[f'shapley/{m}'] for m in 'abc'] == pytest.approx([0, 0.5, 0], abs=1e-6)
    assert metrics['shapley/spread'] == pytest.approx(0.5)


def test_shapley_values_sum_to_what_all_add_together(tmp_path):
    metrics = contributing_runner(tmp_path).test()
    total = metrics['subset/left+right'] - metrics['subset/none']
    assert metrics['shapley/left'] + metrics['shapley/right'] == pytest.approx(total)


def test_modalities_of_use_only_together():
    both = frozenset({0, 1})
    scores = {frozenset(s): torch.tensor(0.5).double() for s in ((), (0,), (1,))} | {
        both: torch.tensor(1.0).double()
    }
    metrics = contributions(scores, ('a', 'b'))
    assert metrics['shapley/a'] == metrics['shapley/b'] == pytest.approx(0.25)
    assert metrics['utilisation/a'] == metrics['utilisation/b'] == pytest.approx(0.5)


def test_score_of_zero_has_no_utilisation():
    scores = {frozenset(s): torch.zeros((), dtype=torch.double) for s in ((), (0,), (1,), (0, 1))}
    assert torch.tensor(contributions(scores, ('a', 'b'))['utilisation/a']).isnan()


class PaddedEncoder(nn.Linear):
    """Returns tokens and where they are padding: where all features are zero."""

    def forward(self, x):
        return super().forward(x), (x == 0).all(-1)


class PaddedClassifier(TinyClassifier):
    """TinyClassifier on sequences of ``left``, whose tokens that count are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.left_encoder = PaddedEncoder(4, 8)

    def forward(self, left, right, label, mode='tensor'):
        tokens, padding = self.left_encoder(left)
        kept = (~padding).unsqueeze(-1)
        logits = self.classifier((tokens * kept).sum(1) / kept.sum(1) + self.right_encoder(right))
        return list(logits.argmax(1) == label)


def test_mean_of_sequences_is_that_of_their_tokens():
    """Padding does not count, and batches may differ in length."""
    model = tiny_guided(model=PaddedClassifier(), guides=dict(left=TinyGuide()))
    tokens, batches = [torch.randn(n, 4) for n in (3, 1, 2, 5)], []
    for pair in (tokens[:2], tokens[2:]):
        left = nn.utils.rnn.pad_sequence(pair, batch_first=True)
        batches.append(dict(left=left, right=torch.randn(2, 4), label=torch.zeros(2, dtype=torch.long)))
    with torch.no_grad():
        (mean,) = representation_means(model.eval(), batches)['left']
        expected = nn.functional.linear(
            torch.cat(tokens), model.model.left_encoder.weight, model.model.left_encoder.bias
        ).mean(0)
    torch.testing.assert_close(mean, expected.double())


def test_shapes_that_differ_between_batches_have_no_mean():
    model = tiny_guided(model=PaddedClassifier(), guides=dict(left=TinyGuide())).eval()
    model.model.left_encoder.forward = lambda x: nn.functional.pad(x, (0, 4))
    model.model.forward = lambda left, right, label, mode: model.model.left_encoder(left)
    batches = [dict(left=torch.randn(2, n, 4), right=None, label=None) for n in (3, 4)]
    with pytest.raises(ValueError, match=r"of 'left' have no mean.*\(3, 8\).*\(4, 8\).*mask='zero'"):
        representation_means(model, batches)


def test_validation_is_measured_if_asked_for_and_training_stays_as_it_is(tmp_path):
    weights, outputs, validated = [], [], []
    for name, hooks in (
        ('without', []),
        ('with', [ModalityContributionHook(validation=True), GuideScoreHook()]),
    ):

        class Keep(Hook):
            priority = 'LOWEST'

            def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None, to=outputs):
                to.extend(outputs)

            def after_val_epoch(self, runner, metrics=None, to=validated):
                to.append(contribution(metrics))

        runner = contributing_runner(tmp_path / name, [*hooks, Keep()])
        runner.train()
        weights.append(runner.model.state_dict())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in runner.model.modules())
    assert outputs[:74] == outputs[74:]
    assert all(torch.equal(value, weights[0][name]) for name, value in weights[1].items())
    assert [bool(metrics) for metrics in validated] == [False, False, True, True]
    (logged,) = tmp_path.glob('with/*/vis_data/scalars.json')
    records = [json.loads(line) for line in logged.read_text().splitlines()]
    assert [contribution(r) for r in records if 'accuracy' in r] == [pytest.approx(v) for v in validated[2:]]


@MODELS.register_module()
class Functional(TinyClassifier):
    """Predicts without calling its head as a module."""

    def forward(self, left, right, label, mode='tensor'):
        if mode != 'predict':
            return super().forward(left, right, label, mode=mode)
        hidden = torch.tanh(self.left_encoder(left) + self.right_encoder(right))
        return list(nn.functional.linear(hidden, self.classifier.weight).argmax(1) == label)


def test_head_that_is_not_called_is_refused(tmp_path):
    runner = contributing_runner(tmp_path, model=tiny_guided(model=dict(type='Functional')))
    with pytest.raises(RuntimeError, match=r"the head 'classifier'.*without calling"):
        runner.test()


def test_settings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="mask 'mean' or 'zero', got 'noise'"):
        ModalityContributionHook(mask='noise')
    with pytest.raises(ValueError, match=r'at most 6 modalities, but `model\.encoders` names 7'):
        planted_metrics(tmp_path, [1.0] * 7)


def measure_a_share(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    runner = contributing_runner(
        folder, data=TinyData(64), experiment_name='two_processes', cfg=dict(model_wrapper_cfg=wrapper)
    )
    torch.save(contribution(runner.test()), folder / f'rank{rank}.pt')


def test_two_processes_equal_one(tmp_path):
    run_processes(measure_a_share, tmp_path)
    expected = contribution(contributing_runner(tmp_path, data=TinyData(64)).test())
    for rank in range(2):
        assert torch.load(tmp_path / f'rank{rank}.pt') == pytest.approx(expected)
