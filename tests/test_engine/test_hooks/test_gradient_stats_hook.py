"""GradientStatsHook: norms of the encoders' gradients, and their cosine with the guides'."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from mmcggm.engine import BalancingHook, GradientStatsHook
from mmcggm.engine.hooks.gradient_stats_hook import gradient_stats
from mmcggm.guided import GuidedModel
from tests.processes import run_processes
from tests.tiny import TinyClassifier, batches, classifier_guided, tiny_runner, wrapper_config

NAMES = ('left', 'right')


def expected_stats(model: GuidedModel, batch: dict) -> dict[str, torch.Tensor]:
    """Return the gradients' norms and cosines from the parts of the model."""
    found = {'norm': [], 'cos': []}
    for name in NAMES:
        encoder = getattr(model.model, f'{name}_encoder')
        parameters = list(encoder.parameters())
        prediction = model.guides[name](encoder(batch[name]))
        losses = (
            model.model(**batch, mode='loss')['loss'],
            nn.functional.cross_entropy(prediction, batch['label']),
        )
        fused, unimodal = (
            nn.utils.parameters_to_vector(torch.autograd.grad(loss, parameters)).double() for loss in losses
        )
        found['norm'].append(fused.square().sum().sqrt())
        found['cos'].append((fused @ unimodal) / (fused @ fused * (unimodal @ unimodal)).sqrt())
    return {name: torch.stack(values).float() for name, values in found.items()}


def test_gradients_are_those_of_the_losses():
    model, (batch,) = classifier_guided(), batches(1)
    model(**batch, mode='loss')
    torch.testing.assert_close(
        gradient_stats(model.last_pass, model.encoder_parameters()), expected_stats(model, batch)
    )


def test_encoder_that_is_not_used_has_no_gradient():
    class LeftOnly(TinyClassifier):
        def forward(self, left, right, label, mode='tensor'):
            return super().forward(left, 0 * right, label, mode=mode)

    model, (batch,) = classifier_guided(model=LeftOnly()), batches(1)
    nn.init.zeros_(model.guides.right.layer.weight)
    model.model.right_encoder.bias.requires_grad_(False)
    model(**batch, mode='loss')
    stats = gradient_stats(model.last_pass, model.encoder_parameters())
    assert stats['norm'][0] > 0 and stats['norm'][1] == stats['cos'][1] == 0


def test_fusion_that_is_the_guide_has_cosine_one():
    class Late(TinyClassifier):
        """Its prediction is that of ``left`` alone, made as the guide makes it."""

        def forward(self, left, right, label, mode='tensor'):
            logits = (
                self.classifier(torch.tanh(self.left_encoder(left))) + 0 * self.right_encoder(right).sum()
            )
            return dict(loss=nn.functional.cross_entropy(logits, label))

    model, (batch,) = classifier_guided(model=Late()), batches(1)
    model.guides.left.layer.load_state_dict(model.model.classifier.state_dict())
    model(**batch, mode='loss')
    cosines = gradient_stats(model.last_pass, model.encoder_parameters())['cos']
    torch.testing.assert_close(cosines, torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize('balancer', [None, dict(type='CGGM'), dict(type='OGM')])
def test_logs_and_leaves_training_as_it_is(tmp_path, balancer):
    weights, scalars = [], []
    for name, hooks in (('without', []), ('with', [GradientStatsHook(interval=3)])):
        runner = tiny_runner(
            tmp_path / name,
            model=classifier_guided(),
            optim_wrapper=wrapper_config(balancer=balancer),
            hooks=[*hooks, *([BalancingHook()] if balancer else [])],
        )
        runner.train()
        weights.append(runner.model.state_dict())
        scalars.append(runner.message_hub.log_scalars)
        assert not runner.model._forward_hooks
    assert all(torch.equal(value, weights[0][name]) for name, value in weights[1].items())
    assert not any('gradient/' in name for name in scalars[0])
    for name in NAMES:
        # Of two epochs of four iterations: the third, and the last.
        norms, cosines = (scalars[1][f'train/gradient/{stat}/{name}'].data[0] for stat in ('norm', 'cos'))
        assert len(norms) == len(cosines) == 4
        assert (norms > 0).all() and (abs(cosines) <= 1 + 1e-6).all()
    left, right, fused = (scalars[1][f'train/gradient/norm/{name}'].data[0] for name in (*NAMES, 'fused'))
    assert (left**2 + right**2) ** 0.5 == pytest.approx(fused, rel=1e-5)
    for name in (*NAMES, 'fused'):
        scores = scalars[1][f'train/gradient/score/{name}'].data[0]
        assert len(scores) == 4 and ((scores >= 0) & (scores <= 1)).all()


def test_first_iteration_is_measured_before_the_step(tmp_path):
    seen = []

    class Keep(GradientStatsHook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            super().before_train_iter(runner, batch_idx, data_batch)
            if not seen:
                seen.append(expected_stats(runner.model, data_batch))

    runner = tiny_runner(
        tmp_path, model=classifier_guided(), optim_wrapper=wrapper_config(), hooks=[Keep(interval=1)]
    )
    runner.train()
    for index, name in enumerate(NAMES):
        for stat in ('norm', 'cos'):
            logged = runner.message_hub.log_scalars[f'train/gradient/{stat}/{name}'].data[0]
            assert logged[0] == pytest.approx(seen[0][stat][index].item(), rel=1e-4)


def test_frozen_encoders_are_refused(tmp_path):
    model = classifier_guided()
    for parameters in model.encoder_parameters():
        for parameter in parameters:
            parameter.requires_grad_(False)
    with pytest.raises(ValueError, match='they are frozen'):
        tiny_runner(tmp_path, model=model, hooks=[GradientStatsHook()]).train()


def measure_a_share(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    model, (batch,) = classifier_guided(), batches(1)
    model(**{name: value.chunk(2)[rank] for name, value in batch.items()}, mode='loss')
    torch.save(gradient_stats(model.last_pass, model.encoder_parameters()), folder / f'rank{rank}.pt')


def test_two_processes_equal_one(tmp_path):
    run_processes(measure_a_share, tmp_path)
    model, (batch,) = classifier_guided(), batches(1)
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f'rank{rank}.pt'), expected_stats(model, batch))
