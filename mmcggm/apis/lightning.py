"""Balancing in Lightning's trainer."""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError:  # the same library under its older name
    from pytorch_lightning import Callback, LightningModule, Trainer

from .balanced import Balanced
from .loop_pass import loss_of, with_loss
from .task_of import Target, find_in


class BalanceCallback(Callback):
    """Balances a LightningModule, which stays as it is.

    With automatic optimization the model's forward in ``training_step`` is watched, and the loss that is
    returned gets the guides' losses. With manual optimization ``training_step`` runs the forward inside
    ``balanced.watch(target)`` and gives ``balanced.loss(loss)`` to ``manual_backward``. In both gradients are
    balanced after backward, before they are clipped.

    The optimizer of ``configure_optimizers`` must have the guides, so call :func:`~mmcggm.balance` before
    ``fit``, on the LightningModule or on a part of it. Checkpoints have the method's state.

    Args:
        balanced: What :func:`~mmcggm.balance` returned.
        target: Where a batch has the target: an index, a path, or a function of the batch. Default: what
            ``target`` of :func:`~mmcggm.balance` says. With manual optimization the step tells it.

    Example:
        >>> balanced = mmcggm.balance(module, dict(audio='net.audio', image='net.image'), 'net.fc',
        ...                           task='classification')
        >>> trainer = lightning.Trainer(callbacks=[BalanceCallback(balanced, target=1)])
        >>> trainer.fit(module, loader)  # of batches (inputs, target)
    """

    def __init__(self, balanced: Balanced, target: Target | None = None) -> None:
        self._balanced = balanced
        self._target = target
        self._scaler: Any = None
        self._saved: dict[str, Any] = {}  # of a checkpoint, until there is an optimizer
        self._skipped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepare the optimizer, and watch training steps.

        Raises:
            ValueError: If there is not one optimizer to prepare.
        """
        if len(trainer.optimizers) != 1:
            raise ValueError(
                f'`configure_optimizers` returned {len(trainer.optimizers)} optimizers, but the method '
                'balances the step of one: put all parameters into one, in groups if they differ.'
            )
        if self._balanced.updates is None and trainer.estimated_stepping_batches != float('inf'):
            self._balanced.updates = int(trainer.estimated_stepping_batches)
        self._balanced.prepare(trainer.optimizers[0])
        if self._saved:
            self._balanced.load_state_dict(self._saved)
        self._scaler = getattr(trainer.precision_plugin, 'scaler', None)
        if pl_module.automatic_optimization:
            pl_module.training_step = self._watched(pl_module.training_step)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Balance the gradients: after backward, before clipping, and once an update."""
        if self._skipped:
            self._balanced.skip()
        else:
            self._balanced.scale()
        self._skipped = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the module its own training step back."""
        vars(pl_module).pop('training_step', None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the module its own training step back."""
        vars(pl_module).pop('training_step', None)

    def state_dict(self) -> dict[str, Any]:
        """Return the method's state."""
        return self._saved if self._balanced.balancer is None else self._balanced.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the method's state, once the optimizer is there."""
        self._saved = state_dict

    def _watched(self, training_step: Any) -> Any:
        """Return the training step that watches its forward and returns the whole loss."""

        def watched_step(batch: Any, *args: Any, **kwargs: Any) -> Any:
            target = () if self._target is None else (find_in(batch, self._target),)
            with self._balanced.watch(*target):
                output = training_step(batch, *args, **kwargs)
            self._skipped = output is None  # Lightning's way to drop a batch
            if self._skipped:
                return None
            return with_loss(output, self._balanced.loss(loss_of(output), scaler=self._scaler))

        return watched_step
