"""Balancing in the Trainer of Hugging Face's transformers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.state import GradientState
from mmengine.logging import print_log
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mmcggm.utils.atomic import replacing

from .balanced import Balanced
from .loop_pass import loss_of, with_loss

STATE = 'mmcggm.pt'  # beside the Trainer's own files of a checkpoint


class BalanceCallback(TrainerCallback):
    """Balances a model in the Trainer, which stays as it is, as does the model.

    In training the model's forward is watched, and the loss that it returns gets the guides' losses;
    gradients are balanced at the end of backward, before the Trainer clips them. Checkpoints have the
    method's state.

    Call :func:`~mmcggm.balance` before ``train``, with ``target='labels'`` (or where else ``forward`` gets
    the target). A ``compute_loss_func`` and label smoothing pass over the loss that the model returns, and
    are refused.

    Args:
        balanced: What :func:`~mmcggm.balance` returned.

    Example:
        >>> balanced = mmcggm.balance(model, dict(text='text_model', image='vision_model'), 'classifier',
        ...                           task='classification', target='labels')
        >>> Trainer(model, args, train_dataset=data, callbacks=[BalanceCallback(balanced)]).train()
    """

    def __init__(self, balanced: Balanced) -> None:
        self._balanced = balanced
        self._watching: Any = None
        self._scaler: Any = None
        self._reached = False  # whether backward passed through the loss of the update's last pass
        self._handles: list[Any] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare the optimizer, and watch the model.

        Raises:
            ValueError: If the Trainer runs the model in a way that can't be watched.
        """
        if args.n_gpu > 1:
            raise ValueError(
                'The Trainer uses DataParallel on several GPUs of one process, whose copies of the model are '
                'not watched: start it with torchrun, one process a GPU.'
            )
        if args.label_smoothing_factor:
            raise ValueError(
                '`label_smoothing_factor` takes the loss from the logits and passes over the guides: set it '
                "to 0, or smooth in the model's own loss."
            )
        if self._balanced.updates is None:
            self._balanced.updates = state.max_steps
        self._balanced.prepare(kwargs['optimizer'])
        self._scaler = getattr(kwargs['optimizer'], 'scaler', None)  # which Accelerate's wrapper holds
        if state.global_step:
            self._resume(_folder(args, state) / STATE)
        self._watch_no_more()  # after a training that was interrupted
        # A compiled model would trace what watches it, and be compiled anew in each pass.
        begin, end = map(torch.compiler.disable, (self._begin_pass, self._end_pass))
        self._handles = [
            self._balanced.model.register_forward_pre_hook(begin, with_kwargs=True),
            self._balanced.model.register_forward_hook(end, with_kwargs=True),
        ]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check that the guides were trained.

        Raises:
            RuntimeError: If the loss that the model returned was not the one that backward came from.
        """
        if not self._reached:
            raise RuntimeError(
                'Backward did not pass through the loss that the model returned, so nothing '
                'was balanced: the Trainer has a `compute_loss_func` or computes the loss '
                'elsewhere. Let the model return it.'
            )
        self._reached = False

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the method's state."""
        if state.is_world_process_zero:
            with replacing(_folder(args, state) / STATE) as temporary:
                torch.save(self._balanced.state_dict(), temporary)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Watch no more."""
        self._watch_no_more()

    def _watch_no_more(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._watching, self._reached = [], None, False

    def _resume(self, saved: Path) -> None:
        """Take up the method's state, or say that there is none."""
        if saved.is_file():
            self._balanced.load_state_dict(torch.load(saved, weights_only=True))
            return
        print_log(
            f"The Trainer goes on with an earlier training, but '{saved}' is not there: the method begins "
            'anew. Copy it from the checkpoint, if that has it.',
            'current',
            logging.WARNING,
        )

    def _begin_pass(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if model.training and torch.is_grad_enabled():
            self._watching = self._balanced.watch()
            # The hooks of this call are those of before, so this one passes the arguments on.
            self._watching.__enter__().keep_arguments(model, args, kwargs)

    def _end_pass(self, model: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
        if self._watching is None:
            return None
        watching, self._watching = self._watching, None
        watching.__exit__(None, None, None)
        loss = self._balanced.loss(loss_of(output), scaler=self._scaler, share=_share(kwargs))
        if GradientState().sync_gradients:
            _at_the_end_of_backward(loss, self._scale)
        return with_loss(output, loss)

    def _scale(self) -> None:
        self._balanced.scale()
        self._reached = True


def _share(kwargs: dict[str, Any]) -> float | Tensor:
    """Return the pass's share of the update, by which the model has already multiplied its loss."""
    count, labels = kwargs.get('num_items_in_batch'), kwargs.get('labels')
    return 1.0 if count is None or labels is None else labels.ne(-100).sum() / count


def _at_the_end_of_backward(loss: Tensor, function: Callable[[], None]) -> None:
    """Call ``function`` at the end of ``loss``'s backward pass, when processes have averaged gradients."""
    engine = torch.autograd.Variable._execution_engine

    def call_last(grad: Tensor) -> None:
        # What is queued in a callback comes after all that distributed wrappers have queued.
        engine.queue_callback(lambda: engine.queue_callback(function))

    loss.register_hook(call_last)


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f'checkpoint-{state.global_step}'
