"""What docs/methods.md says of each method in a loop, and of what each logs, is so."""

import re

import pytest
import torch
from torch import nn

import mmcggm
from mmcggm.balancers import build_balancer
from tests.contracts import BATCH, CASES, PlainTraining, batches, registered
from tests.test_docs.pages import DOCS

PAGE = (DOCS / 'methods.md').read_text(encoding='utf-8')
NEEDS = {
    'validation': 'validation', 'data sets': 'survey', 'epochs': 'epochs', 'other predictions': 'reruns',
    'teachers': 'teachers',
}  # fmt: skip


def rows(first_header: str) -> list[list[str]]:
    """Return the cells of a table whose header begins so, row by row."""
    table = PAGE.partition(first_header)[2].partition('\n\n')[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip('| ').split(' | ')] for line in table]


IN_A_LOOP = {cells[0].strip('`'): cells[-1] for cells in rows('| class | source')}
LOGS: dict[str, list[set[str]]] = {
    name: [set(re.findall(r'`(\w+)`', re.sub(r'`\w+=[^`]*`', '', cell))) for cell in cells[1:]]
    for cells in rows('| class | for each modality')
    for name in re.findall(r'`(\w+)`', cells[0])
}


class Late(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({name: nn.Linear(4, 8) for name in ('audio', 'image')})
        self.classifier = nn.Linear(8, 3)

    def forward(self, x):
        return self.classifier(
            sum(e(part) for e, part in zip(self.encoders.values(), x.unbind(1), strict=True))
        )


def train_in_a_loop(method) -> dict[str, float]:
    torch.manual_seed(0)
    model = Late()
    balanced = mmcggm.balance(model, 'encoders', 'classifier', 'classification', method)
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    for _ in range(2):
        x, label = torch.randn(12, 2, 4), torch.arange(12) % 3
        with balanced.watch(label):
            loss = nn.functional.cross_entropy(model(x), label)
        balanced.loss(loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    return balanced.stats()


@pytest.mark.parametrize('name', registered())
def test_the_column_of_loops_is_so(name):
    said = IN_A_LOOP[name]
    chosen = re.search(r'(but|not) with `(.*)`', said)
    for settings, works in (
        ({}, said.startswith('yes')),
        *([(eval(f'dict({chosen[2]})'), chosen[1] == 'but')] if chosen else []),
    ):
        method = dict(type=name, **settings)
        if works:
            scores = {'score/audio', 'score/image'}
            found = train_in_a_loop(method)
            assert found.keys() >= scores
            assert {stat.partition('/')[0] for stat in found.keys() - scores} <= set.union(*LOGS[name])
            continue
        with pytest.raises(ValueError, match=f'`method` is {name}, which needs'):
            train_in_a_loop(method)
        if not settings:
            needs = build_balancer(method, 'method').needs
            reasons = said.partition(': ')[2].partition(';')[0].split(', ')
            assert {NEEDS[reason] for reason in reasons} == {n for n in NEEDS.values() if getattr(needs, n)}


def test_the_table_has_every_method_once():
    assert set(LOGS) == set(registered())
    assert {name for name in IN_A_LOOP if '(' not in name} == set(registered())  # others are no balancers


@pytest.mark.parametrize('name', registered())
def test_each_logs_what_is_said(name, tmp_path):
    found: list[set[str]] = [set(), set()]
    for case in CASES.values():
        if isinstance(case.settings, list) or case.settings['type'] != name:
            continue
        training = PlainTraining(case, tmp_path, modalities=2)
        finish = training.balancer.finish_update

        def finish_and_look(*given, finish=finish, balancer=training.balancer):
            finish(*given)
            for key, value in balancer.stats.items():
                assert value.shape in ((), (2,))
                found[value.ndim == 0].add(key)

        training.balancer.finish_update = finish_and_look
        training.run(batches(2, size=BATCH))
    assert found == LOGS[name]
