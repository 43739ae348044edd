"""The training that a balancer is attached to: its clock, encoders, random numbers and processes."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmcggm.balancers import CGGM, Clock, Training
from mmcggm.balancers.training import over_processes
from tests.processes import run_processes
from tests.toy import ToyModel

CPU = torch.device('cpu')


def training(**settings) -> Training:
    return Training(('a', 'b'), [[nn.Parameter(torch.ones(1))] for _ in range(2)], **settings)


def test_a_clock_that_somebody_moves_is_the_balancers():
    clock, balancer = Clock(), CGGM()
    balancer.attach(training(clock=clock))
    clock.iteration, clock.epoch, clock.progress = 5, 2, 0.4
    assert balancer.clock == Clock(5, 2, 0.4)


def test_trainings_have_clocks_of_their_own():
    assert training().clock is not training().clock and training().clock == Clock()


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (lambda model: [list(model.encoders[0].parameters())], 'each of the 2 .*got lists for 1 encoders'),
        (lambda model: model.encoders.parameters(), r'got 4 single parameters: \[list\(encoder.parameters'),
        (lambda model: model.encoders.parameters(), r"modalities \['m0', 'm1'\], in their order"),
    ],
)
def test_encoders_that_are_not_one_a_modality_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        Training(('m0', 'm1'), given(ToyModel(2)))


def test_its_device_is_the_encoders():
    assert training().device == CPU and Training(('a', 'b'), [[], []]).device == CPU
    assert Training(('a', 'b'), [[], list(nn.Linear(1, 1, device='meta').parameters())]).device.type == 'meta'


@given(st.integers(0, 2**62), st.integers(0, 10**6))
def test_random_numbers_follow_seed_and_number_alone(seed, number):
    def drawn(number, global_seed):
        torch.manual_seed(global_seed)
        found = training(seed=seed).generator(CPU, number)
        return torch.rand(8, generator=found).tolist()

    assert drawn(number, 0) == drawn(number, 1)
    assert drawn(number, 0) != drawn(number + 1, 0)


def test_one_process_is_all():
    x = torch.arange(3.0)
    assert over_processes(x) is x and training().over_processes(x, mean=True) is x


def exchange(rank: int, folder: Path) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    alone = [dist.new_group([index]) for index in range(2)][rank]
    x = torch.tensor([1.0, 2.0 * rank])
    assert training().over_processes(x).tolist() == [2, 2]
    assert training().over_processes(x, mean=True).tolist() == [1, 1]
    assert training(process_group=alone).over_processes(x).tolist() == [1, 2 * rank]
    assert x.tolist() == [1, 2 * rank]  # as it was


def test_processes_sum_and_average_in_their_group(tmp_path):
    run_processes(exchange, tmp_path)
