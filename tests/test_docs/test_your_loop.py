"""The code of docs/your_loop.md runs as it is."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from mmcggm.registry import TASKS

GUIDE = Path(__file__).parents[2] / 'docs' / 'your_loop.md'
BLOCKS = re.findall(r'^```python\n(.*?)^```$', GUIDE.read_text(encoding='utf-8'), re.MULTILINE | re.DOTALL)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.audio_net, self.image_net = nn.Linear(5, 8), nn.Linear(6, 8)
        self.classifier = nn.Linear(16, 3)

    def forward(self, audio, image):
        return self.classifier(torch.cat([self.audio_net(audio), self.image_net(image)], dim=1))


class RecurrentModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.gru = nn.Embedding(9, 4), nn.GRU(4, 7, batch_first=True)
        self.frame_net, self.classifier = nn.Linear(5, 6), nn.Linear(13, 3)

    def forward(self, tokens, frames):
        seen = torch.stack([self.frame_net(frame) for frame in frames.unbind(1)]).mean(0)
        return self.classifier(torch.cat([self.gru(self.embed(tokens))[1][-1], seen], dim=1))


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(8, 3)

    def forward(self, h):
        return self.last(h)


def names(folder):
    """Return what a reader has: a model, data, a loss; and for the loop by hand what its forward makes."""
    torch.manual_seed(0)
    samples = [
        dict(audio=torch.randn(5), image=torch.randn(6), labels=torch.tensor(i % 3)) for i in range(16)
    ]
    pairs = [({name: s[name] for name in ('audio', 'image')}, s['labels']) for s in samples]
    head, guides = nn.Linear(8, 3), [Guide() for _ in range(2)]
    encoders = [nn.Linear(5, 8), nn.Linear(6, 8)]
    h = [encoder(torch.randn(4, encoder.in_features)) for encoder in encoders]
    label = torch.tensor([0, 1, 2, 0])
    model = Model()
    return dict(
        torch=torch,
        model=model,
        recurrent_model=RecurrentModel(),
        tokens=torch.ones(2, 3, dtype=torch.long),
        frames=torch.ones(2, 4, 5),
        loader=DataLoader(pairs, batch_size=4),
        test_loader=DataLoader(pairs, batch_size=4),
        samples=samples,
        criterion=nn.functional.cross_entropy,
        work_dir=str(folder),
        encoders=encoders,
        head=head,
        guides=guides,
        task_loss=nn.functional.cross_entropy(head(torch.tanh(sum(h))), label),
        guide_losses=[
            nn.functional.cross_entropy(g(x.detach()), label) for g, x in zip(guides, h, strict=True)
        ],
        counts=lambda: torch.tensor([[[2.0, 4.0]], [[1.0, 4.0]]]),
        optimizer=torch.optim.SGD([p for m in (*encoders, head) for p in m.parameters()], lr=0.1),
    )


@pytest.mark.parametrize('block', BLOCKS, ids=[str(index) for index in range(len(BLOCKS))])
def test_a_block_runs(block, tmp_path):
    if 'lightning' in block:
        pytest.importorskip('lightning.pytorch')
    known = names(tmp_path)
    if 'PlainPass' in block:
        known['loader'] = [
            (None, None)
        ]  # the forward of the loop by hand is left to the reader, made once here
    encoders = [known['model'].audio_net, known['model'].image_net, *known['encoders']]
    before = [encoder.weight.detach().clone() for encoder in encoders]
    exec(compile(block, str(GUIDE), 'exec'), known)
    moved = [not torch.equal(a, b.weight) for a, b in zip(before, encoders, strict=True)]
    trains = any(word in block for word in ('.step()', '.fit(', '.train()'))
    by_hand = 'PlainPass' in block
    TASKS.module_dict.pop('huber', None)  # what a block registers is its own
    assert moved == [trains and not by_hand] * 2 + [by_hand] * 2


def test_there_is_code_for_each_framework():
    code = ''.join(BLOCKS)
    for name in ('Accelerator(', 'lightning.Trainer(', 'TrainingArguments(', 'PlainPass('):
        assert name in code
