"""A small multimodal model in plain PyTorch, with guides, for tests of the balancers."""

import torch
from torch import Tensor, nn

from mmcggm.balancers import Balancer, Pass, PlainPass, Training
from mmcggm.models import ForegroundDiceLoss

HEADS = {'linear': nn.Linear, 'conv2d': nn.Conv2d, 'conv3d': nn.Conv3d}
LOSSES = {
    'classification': lambda prediction, target: nn.functional.cross_entropy(prediction, target.long()),
    'regression': lambda prediction, target: nn.functional.mse_loss(
        prediction.mean(1), target.to(prediction)
    ),
    # As published: half cross-entropy, half soft Dice of the foreground.
    'segmentation': lambda prediction, target: (
        0.5 * nn.functional.cross_entropy(prediction, target)
        + 0.5 * ForegroundDiceLoss(smooth=0.01)(prediction, target)
    ),
}


class ToyModel(nn.Module):
    """Encoders, a sum, tanh and a head; a guide is a layer like the head on each representation.

    Args:
        modalities: M.
        head: ``'linear'``, ``'conv2d'`` or ``'conv3d'`` (both 1 x 1).
        outputs: Channels of the prediction.
        bias: Whether head and guides have a bias.
    """

    def __init__(self, modalities: int, head: str = 'linear', outputs: int = 3, bias: bool = True) -> None:
        super().__init__()
        layer = HEADS[head]
        extra = () if head == 'linear' else (1,)
        self.encoders = nn.ModuleList(layer(4, 5, *extra) for _ in range(modalities))
        self.guides = nn.ModuleList(layer(5, outputs, *extra, bias=bias) for _ in range(modalities))
        self.head = layer(5, outputs, *extra, bias=bias)

    def predict(self, inputs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        representations = [torch.tanh(e(x)) for e, x in zip(self.encoders, inputs, strict=True)]
        guided = [g(h.detach()) for g, h in zip(self.guides, representations, strict=True)]
        return self.head(torch.tanh(torch.stack(representations).sum(0))), guided

    def step(self, inputs: list[Tensor], target: Tensor, loss: str = 'classification') -> PlainPass:
        """Run the model and its guides; the scores are accuracies of the guides."""
        prediction, guided = self.predict(inputs)
        correct = [(g.argmax(1) == target).double().sum() for g in guided]
        counts = torch.stack([torch.stack([c, c.new_tensor(target.numel())]) for c in correct]).unsqueeze(1)

        return PlainPass(
            task_loss=LOSSES[loss](prediction, target),
            guide_losses=[LOSSES[loss](g, target) for g in guided],
            counts=lambda: counts,
            head_weight=self.head.weight,
            guide_weights=[guide.weight for guide in self.guides],
        )

    def attached(self, balancer: Balancer) -> Balancer:
        """Attach ``balancer`` to a training of this model, and return it."""
        names = [f'm{index}' for index in range(len(self.encoders))]
        balancer.attach(Training(names, self.encoder_parameters()))
        return balancer

    def encoder_parameters(self) -> list[list[nn.Parameter]]:
        return [list(encoder.parameters()) for encoder in self.encoders]


def toy_batch(
    modalities: int, head: str = 'linear', size: int = 6, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[list[Tensor], Tensor]:
    """Return inputs and labels in {0, 1, 2} that fit :class:`ToyModel`."""
    generator = torch.Generator().manual_seed(seed)
    space = {'linear': (), 'conv2d': (3, 2), 'conv3d': (2, 2, 2)}[head]
    inputs = [torch.randn(size, 4, *space, generator=generator, dtype=dtype) for _ in range(modalities)]
    return inputs, torch.randint(0, 3, (size, *space), generator=generator)


def toy_batches(modalities: int, count: int, size: int = 6) -> list[tuple[list[Tensor], Tensor]]:
    """Return this many :func:`toy_batch`, each with another seed."""
    return [toy_batch(modalities, size=size, seed=seed) for seed in range(count)]


def groups(model: ToyModel, lr: float, guide_lr: float) -> list[dict]:
    """Return the optimizer's groups, one an encoder."""
    encoders = [dict(params=e.parameters(), modality=i) for i, e in enumerate(model.encoders)]
    return [
        *(dict(group, lr=lr) for group in encoders),
        dict(params=model.head.parameters(), lr=lr, modality=None),
        dict(params=model.guides.parameters(), lr=guide_lr, modality=None),
    ]


def train(model: ToyModel, balancer: Balancer, data: list, optimizer: torch.optim.Optimizer) -> None:
    """Train in the plain PyTorch loop."""
    model.attached(balancer)
    for inputs, target in data:
        seen = model.step(inputs, target)
        term = balancer.see(seen)
        optimizer.zero_grad()
        (seen.task_loss + sum(seen.guide_losses) + (0 if term is None else term)).backward()
        balancer.finish_update()
        with balancer.scaled_rates(optimizer):
            optimizer.step()


class Shown(Pass):
    """A pass that shows what it is told to.

    Args:
        task_loss: See :attr:`Pass.task_loss`; by default a one without a graph.
        **answers: By name of the question, such as ``confidences``: the answer.
    """

    def __init__(self, task_loss: Tensor | None = None, **answers) -> None:
        self._task_loss = torch.ones(()) if task_loss is None else task_loss
        for name, answer in answers.items():
            setattr(self, name, lambda answer=answer: answer)

    @property
    def task_loss(self) -> Tensor:
        return self._task_loss
