"""One backward pass for all who need a loss's gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable


def differentiated_once(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return ``loss`` in such a form that its graph is run backward once, however often it is asked for.

    A balancer needs ``g_i = ∂L_i/∂W_i`` before the step's backward pass, which comes through the same
    graph again. With this, the first of them differentiates for all ``parameters`` and lets go of the graph,
    which stays while somebody else holds ``loss``; the others get what was found, scaled as they ask.

    Args:
        loss: A scalar of ``parameters`` alone, such as the loss of a guide on a detached representation.
        parameters: Those that it is differentiated for; any that it does not depend on gets zero.

    Returns:
        The same scalar. It sends no gradient to anything but ``parameters``, and can't be differentiated
        twice.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    if not parameters or not loss.requires_grad:
        return loss
    return _SharedBackward.apply(_Gradients(loss, parameters), *parameters)


class _Gradients:
    """The gradients of a loss, found at the first request."""

    def __init__(self, loss: Tensor, parameters: list[nn.Parameter]) -> None:
        self.loss: Tensor | None = loss
        self.value = loss.detach().clone()
        self.parameters = parameters

    def scaled(self, scale: Tensor) -> list[Tensor]:
        """Return the gradients of ``scale`` times the loss; ``scale`` is a scalar above zero."""
        if self.loss is not None:
            # With this scale, not one, so that half-precision gradients don't vanish.
            self.grads = torch.autograd.grad(
                self.loss, self.parameters, scale, retain_graph=True, materialize_grads=True
            )
            self.loss, self.scale = None, scale
            return list(self.grads)
        return list(torch._foreach_mul(self.grads, scale / self.scale))


class _Context(FunctionCtx):
    gradients: _Gradients


class _SharedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, gradients: _Gradients, *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return gradients.value

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, scale: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *ctx.gradients.scaled(scale))
