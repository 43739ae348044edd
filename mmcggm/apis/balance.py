"""Balance any PyTorch model in any training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from mmcggm.guided import Task

from .balanced import Balanced, Encoders, Head
from .method import Method
from .task_of import Target


def balance(
    model: nn.Module,
    encoders: Encoders,
    head: Head,
    task: str | dict | Task | tuple[Callable, Callable],
    method: Method = 'CGGM',
    guide: dict | nn.Module | None = None,
    guides: Mapping[str, dict | nn.Module] | None = None,
    target: Target | None = None,
    sample: Any = None,
    updates: int | None = None,
    only: str | None = None,
    control: bool = False,
) -> Balanced:
    """Add guides to a model, so that its training can be balanced. Its ``forward`` stays as it is.

    The guides become a child of the model, ``mmcggm_guides``: optimizers, distributed wrappers, checkpoints
    and copies of the model have them. :meth:`Balanced.remove` takes them out.

    Args:
        model: Any module.
        encoders: The encoder of each modality, as of :class:`~mmcggm.guided.GuidedModel`: by modality a path
            of a module in the model, a list of paths, or a dict; or one path, whose children are the
            encoders. Instead of a path, the module itself.
        head: Path of the last layer of the model's head; a dict of paths by modality, if each has a head of
            its own and their outputs are averaged; or None: then ``guide`` says what guides predict, and
            methods that compare or change the head are refused.
        task: ``'classification'``, ``'multilabel'``, ``'ordinal'``, ``'regression'``, ``'segmentation'``, a
            :class:`~mmcggm.guided.Task`, its config or registered name, or two functions of a guide's
            prediction and the target: the loss, a scalar, and the score of each sample ``(N,)``, higher if
            better.
        method: Name or config of a method, or several, or a :class:`~mmcggm.balancers.Balancer`; or None:
            guides watch, and nothing is balanced. A name and a config mean the same settings: of CGGM those
            that are recommended, and what the config says otherwise. A balancer stays as it is: that of
            ``mmcggm.balancers.CGGM()`` are the settings of the paper. By default the encoder's update is
            scaled where the optimizer is one like Adam, which undoes a scale of the gradient, and the
            gradient where not. The log says which settings hold.
        guide: Config of a guide, or a module with a ``last_layer``. Default:
            :class:`~mmcggm.guided.AutoGuide`.
        guides: The same by modality, for those that differ.
        target: Where the target is, if ``forward`` gets it: a path in its arguments, such as ``'labels'`` or
            ``'batch.y'``, or a function of the arguments, a dict by name. Default: :meth:`Balanced.watch`
            gets it.
        sample: Arguments of one forward pass: a dict by name, a tuple, or the only one. Guides get the
            widths of the representations that it shows, rather than those of the encoders' last layers. The
            pass is in evaluation mode and leaves generators of random numbers as they are.
        updates: How many updates the training has, for methods with a schedule. Default: schedules stay at
            their start.
        only: The one modality that reaches fusion, in training and in prediction, as of
            :class:`~mmcggm.guided.GuidedModel`: what a modality reaches alone.
        control: Whether guides are trained on the encoders as they were before training, too, for
            :meth:`Balanced.evaluate`: an encoder has learnt what its guide scores above this. It costs a
            copy of the model and, for each batch, a pass without gradient and a step of the guides. The
            training stays the same to the last bit.

    Raises:
        ValueError: If a setting does not fit the model; the message names it.

    Example:
        >>> balanced = mmcggm.balance(model, dict(audio='audio_net', image='image_net'), 'classifier',
        ...                           task='classification')
        >>> optimizer = balanced.prepare(torch.optim.AdamW(model.parameters()))
        >>> for inputs, target in loader:
        ...     with balanced.watch(target):
        ...         loss = criterion(model(**inputs), target)
        ...     balanced.loss(loss).backward()
        ...     optimizer.step()
        ...     optimizer.zero_grad()
    """
    return Balanced(
        model, encoders, head, task, method, guide, guides, target, sample, updates, only, control
    )
