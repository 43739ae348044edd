"""Work that is done ahead of its use, in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1
) -> Iterator[tuple[Item, 'Future[Result]']]:
    """Yield each item with the future of ``function(item)``, in order, while the next are worked at.

    No more results than ``workers`` wait to be used, so that memory is bounded. NumPy, zlib and PyTorch let
    other threads run while they compute.
    """
    items = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque((item, pool.submit(function, item)) for item in islice(items, workers))
        try:
            while waiting:
                item, future = waiting.popleft()
                future.exception()  # wait; who uses it raises it
                waiting.extend((further, pool.submit(function, further)) for further in islice(items, 1))
                yield item, future
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
