"""Time and memory of training steps that take turns."""

from __future__ import annotations

import gc
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

Step = Callable[[], object]


def seconds(step: Step, device: torch.device) -> float:
    """Return the time of a step: on a CPU that of this process on its cores, on a GPU the wall's."""
    if device.type == 'cpu':
        start = time.process_time()
        step()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    step()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def time_in_turns(steps: Mapping[str, Step], device: torch.device, turns: int) -> dict[str, list[float]]:
    """Return the times of ``turns`` calls of each step, in seconds, after two that don't count."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    gc.collect()
    gc.freeze()  # what exists now need not be looked at again
    gc.disable()
    try:
        for turn in range(-2, turns):
            for name, step in steps.items():
                elapsed = seconds(step, device)
                if turn >= 0:
                    times[name].append(elapsed)
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return times


def peak_bytes(step: Step, model: nn.Module, optim_wrapper: OptimWrapper, device: torch.device) -> int:
    """Return the most that exists at one time in a step, weights and optimizer state included."""
    resident = resident_bytes(model, optim_wrapper)
    if device.type == 'cpu':
        return resident + peak_allocation(step)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return resident + torch.cuda.max_memory_allocated(device) - before


def resident_bytes(model: nn.Module, optim_wrapper: OptimWrapper) -> int:
    """Return the size of weights, buffers and optimizer state."""
    tensors = [*model.parameters(), *model.buffers()]
    for optimizer in (optim_wrapper.optimizer, getattr(optim_wrapper, 'guide_optimizer', None)):
        for state in optimizer.state.values() if optimizer is not None else ():
            tensors += [value for value in state.values() if isinstance(value, Tensor)]
    return sum(tensor.nbytes for tensor in tensors)


def peak_allocation(action: Step) -> int:
    """Return the most bytes that torch's CPU allocator has handed out at one time during ``action``.

    It is read from the profiler's trace, which has every allocation and every release.
    """
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / 'trace.json'
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
            action()
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding='utf-8'))['traceEvents']
    changes = sorted(
        (event for event in events if event.get('name') == '[memory]'), key=lambda event: event['ts']
    )
    return max(accumulate(event['args']['Bytes'] for event in changes))
