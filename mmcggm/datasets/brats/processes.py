"""Work in processes of which one may be killed: the others' work goes on."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from mmcggm.utils.processes import end_with_parent

Item = TypeVar('Item')
Result = TypeVar('Result')


def run_each(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, what: str
) -> Iterator[tuple[Item, Result | None]]:
    """Call ``function`` for each item in processes, and show how far it is.

    If a process is killed, perhaps for want of memory, the items that it and its neighbours were at are done
    again, each in a process of its own, so that one item that cannot be done costs no other.

    Yields:
        Item and result in the order in which they come; the result is None if the item's own process was
        killed.
    """
    # A log file would not want ten lines a second.
    interval = 0.1 if sys.stderr.isatty() else 10
    with tqdm(total=len(items), desc=what, unit='case', mininterval=interval) as progress:
        waiting = list(items)
        while waiting:
            left = []
            for item, result, killed in _run_pool(function, waiting, workers):
                if killed:
                    left.append(item)
                    continue
                progress.update()
                yield item, result
            # Items are taken in order, so the first that are left are those that were worked at.
            suspects, waiting = left[:workers], left[workers:]
            for suspect in suspects:
                ((item, result, _),) = _run_pool(function, [suspect], 1)
                progress.update()
                yield item, result


def _run_pool(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result | None, bool]]:
    """Yield (item, result, whether the pool broke before there was one); broken ones last and in order."""
    with ProcessPoolExecutor(min(workers, len(items)), initializer=end_with_parent) as pool:
        futures = {pool.submit(function, item): item for item in items}
        killed = set()
        try:
            for future in as_completed(futures):
                try:
                    result = future.result()
                except BrokenProcessPool:
                    killed.add(future)
                else:
                    yield futures[future], result, False
        finally:
            pool.shutdown(cancel_futures=True)
    yield from ((item, None, True) for future, item in futures.items() if future in killed)
