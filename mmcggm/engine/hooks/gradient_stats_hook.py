"""How large each encoder's gradient is, and whether its own modality would have it so."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmcggm.balancers import Pass, scores_from_counts
from mmcggm.balancers.flat_gradients import gradient_of
from mmcggm.balancers.pass_record import sum_of_present
from mmcggm.balancers.sharding import is_sharded
from mmcggm.balancers.training import over_processes
from mmcggm.engine.log_scalars import log_as_measured
from mmcggm.engine.optim_wrapper import find_guided
from mmcggm.guided import GuidedModel
from mmcggm.guided.guided_pass import GuidedPass
from mmcggm.registry import HOOKS


@HOOKS.register_module()
class GradientStatsHook(Hook):
    """Logs, in training, what gradient each encoder ``θ_i`` gets, with or without a balancer.

    With ``g_i = ∂L_task/∂θ_i``, before anything is balanced, and ``u_i = ∂L_i/∂θ_i`` of the guide's loss,
    if it were sent to the encoder, both means over processes:

    - ``gradient/norm/{modality}``: ``‖g_i‖``;
    - ``gradient/cos/{modality}``: ``cos(g_i, u_i)``. Near one, fusion teaches the encoder what its modality
      alone would; below zero, the opposite. A vanishing gradient has no direction, its cosine is zero;
    - ``gradient/norm/fused``: the norm of all the ``g_i`` together;
    - ``gradient/score/{modality}`` and ``gradient/score/fused``: the task's score of each guide and, where
      the model calls its head, of the fused model.

    They are of one batch, in the iterations that are logged, which cost two more backward passes each; the
    others cost nothing, and training goes the way that it goes without. In float16, small gradients vanish,
    since the loss is not scaled for this.

    Args:
        interval: Iterations between measurements; the last of an epoch is measured as well. Default: the
            interval of the LoggerHook.
    """

    priority = 'NORMAL'  # before the LoggerHook

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._watch = ExitStack()
        self._stats: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Check the model.

        Raises:
            TypeError: If it is no guided model.
            ValueError: If its encoders are sharded, or all frozen.
        """
        parameters = [p for encoder in find_guided(runner.model).encoder_parameters() for p in encoder]
        if not parameters or any(map(is_sharded, parameters)):
            state = 'sharded' if parameters else 'frozen'
            raise ValueError(
                f'GradientStatsHook needs whole gradients of the encoders, but they are {state}: remove it '
                'from `custom_hooks`, or train without a sharding `strategy` and with an encoder that learns.'
            )
        log_as_measured(runner, 'gradient/')
        if self.interval is None:
            self.interval = next((h.interval for h in runner.hooks if isinstance(h, LoggerHook)), 1)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        self._watch.close()  # of an iteration that failed
        if self.every_n_inner_iters(batch_idx, self.interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        ):
            handle = find_guided(runner.model).register_forward_hook(self._measure)
            self._watch.callback(handle.remove)

    def _measure(self, guided: GuidedModel, args: tuple, output: dict[str, Tensor]) -> None:
        """Measure between the forward pass and whatever the balancer does."""
        if guided.last_pass is not None:
            seen = guided.last_pass
            stats = gradient_stats(seen, guided.encoder_parameters())
            norms = torch.cat([stats['norm'], stats['norm'].norm().unsqueeze(0)])  # last that of all together
            self._stats = {**stats, 'norm': norms, 'score': _scores(seen)}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        self._watch.close()
        modalities = find_guided(runner.model).modalities
        for name, values in self._stats.items():
            for modality, value in zip([*modalities, 'fused'], values.tolist(), strict=False):
                runner.message_hub.update_scalar(f'train/gradient/{name}/{modality}', value)
        self._stats = {}


def gradient_stats(seen: Pass, encoders: Sequence[Sequence[nn.Parameter]]) -> dict[str, Tensor]:
    """Return ``norm`` and ``cos``, each ``(M,)``, of a pass whose graphs are still there."""
    parameters = [parameter for encoder in encoders for parameter in encoder]
    sizes = [sum(parameter.numel() for parameter in encoder) for encoder in encoders]
    # One backward pass for all modalities, since each guide's loss reaches its own encoder alone.
    unimodal_loss = sum_of_present(seen.unimodal_losses())
    fused, unimodal = (
        over_processes(gradient_of(seen, loss, parameters).float(), mean=True).split(sizes)
        for loss in (seen.task_loss, unimodal_loss)
    )
    cosines = [
        torch.cosine_similarity(g, u, dim=0, eps=torch.finfo(g.dtype).tiny)
        for g, u in zip(fused, unimodal, strict=True)
    ]
    return {'norm': torch.stack([g.norm() for g in fused]), 'cos': torch.stack(cosines)}


@torch.no_grad()
def _scores(seen: GuidedPass) -> Tensor:
    """Return the scores of the guides and, if it has called its head, of the fused model: ``(M + 1,)``."""
    counts = seen.counts()
    if seen.called_head:
        counts = torch.cat([counts, seen.fused_counts().unsqueeze(0)])
    return scores_from_counts(over_processes(counts))
