"""How a tool ends: with its exit status and, where something went wrong, with a sentence.

The sentence comes last, after the log, since that is where people look. A traceback stands above it only if
nobody foresaw the error: then it may be a fault of this project, or of code that a config names.
"""

from __future__ import annotations

import atexit
import dis
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from .wrong_argument import explain_wrong_argument, is_wrong_argument

# A `raise` or `assert` in these packages, or in the tool itself, is meant for users.
SPEAKING = ('mmcggm', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain')
UNFORESEEN = (
    'Nobody foresaw this error: it may be a fault of mmcggm, or of a component that the config names. The '
    'traceback above says where.'
)
WORKER_ENDED = re.compile(r'DataLoader worker \(pid\(?s?\)? [\d, ]+\) (is killed|exited unexpectedly)')
TOO_LITTLE_MEMORY = (
    'A process that reads data was killed, mostly for want of memory or of shared memory (/dev/shm): take '
    'fewer `num_workers` or smaller batches. `--resume` goes on from the newest checkpoint.'
)
# What dependencies say at each start although nothing is wrong: the message, and the module that warns.
HARMLESS_WARNINGS = (
    ('Fail to import ``MultiScaleDeformableAttention``', 'mmcv.'),  # no model needs compiled operators
    ('Default ``avg_non_ignore`` is False', 'mmseg.'),  # no label is ignored
)


def run_tool(main: Callable[[], int | None], status_of_errors: int = 1) -> NoReturn:
    """Call the ``main`` of a command and exit with what it returns.

    An error that was foreseen (raised on purpose by OpenMMLab's packages or this one, or one of the operating
    system, such as a full disk) is one line on stderr. Any other has its traceback above that line.

    Exits with what ``main`` returns (None: 0), with ``status_of_errors`` after an error, and with 130 after
    Ctrl-C.
    """
    silence_dependencies()
    try:
        status = main()
        _end_with_threads(status or 0)
        sys.exit(status)
    except BrokenPipeError:  # who read the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(status_of_errors)
    except KeyboardInterrupt:
        print('\nInterrupted.', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        message = describe(error)
        if not is_foreseen(error):
            traceback.print_exc()
            message = f'{message}\n{UNFORESEEN}'
        sys.stdout.flush()
        print(f'Error: {message}', file=sys.stderr, flush=True)
        _tell_log(message)
        _tell_launcher(error)
        sys.exit(status_of_errors)


def _end_with_threads(status: int) -> None:
    """End a process that has a process group here and now, once all that waits for its end is done.

    The threads of a group that outlive the interpreter abort a process that went well. To destroy the group
    first may wait for ever: in PyTorch 2.6 gloo's threads and its destructor wait for each other.
    """
    distributed = sys.modules.get('torch.distributed')
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def silence_dependencies() -> None:
    """Leave out what dependencies say at each start although nothing is wrong."""
    for message, module in HARMLESS_WARNINGS:
        warnings.filterwarnings('ignore', message=re.escape(message), module=re.escape(module))


def is_foreseen(error: BaseException) -> bool:
    """Say whether the message of ``error`` was written for users."""
    if trace := _worker_traceback(error):
        frames = re.findall(r'^ +File "(.+)", line \d+, in .+\n(?: +(\w*))?', trace, flags=re.MULTILINE)
        return bool(frames) and frames[-1][1] in ('raise', 'assert') and _speaks(frames[-1][0])
    if isinstance(error, (OSError, SyntaxError)) or is_wrong_argument(error) or _lost_a_worker(error):
        return True
    *_, last = _frames(error)
    return _speaks(last.tb_frame.f_code.co_filename) and _is_raise(last)


def describe(error: BaseException) -> str:
    """Return the message of ``error``; its type, where it has none."""
    if trace := _worker_traceback(error):
        # The last line that is not indented begins the message: `ValueError: data/a.h5 is damaged.`
        return re.split(r'\n(?=[\w.]+: )', trace)[-1].partition(': ')[2].strip()
    if _lost_a_worker(error):
        return f'{str(error).splitlines()[0]} {TOO_LITTLE_MEMORY}'
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f'{os.fsdecode(error.filename)}: {error.strerror}.'
    if isinstance(error, SyntaxError):
        return f'{error.filename}, line {error.lineno}: {error.msg}.'
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])  # without the quotes in which KeyError puts it
    if is_wrong_argument(error):
        return explain_wrong_argument(error)
    return str(error).strip() or type(error).__name__


def _frames(error: BaseException) -> Iterator[TracebackType]:
    frame = error.__traceback__
    while frame is not None:
        yield frame
        frame = frame.tb_next


def _is_raise(frame: TracebackType) -> bool:
    """Say whether the frame ended in a ``raise`` or ``assert``, rather than in an operation that failed."""
    steps = dis.get_instructions(frame.tb_frame.f_code)
    return any(step.offset == frame.tb_lasti and step.opname == 'RAISE_VARARGS' for step in steps)


def _lost_a_worker(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and WORKER_ENDED.search(str(error)) is not None


def _speaks(file: str) -> bool:
    """Say whether a file is the tool's, or of a package whose messages are for users."""
    loaded = [sys.modules[name].__file__ for name in SPEAKING if name in sys.modules]
    tool = getattr(sys.modules['__main__'], '__file__', None)
    return file == tool or any(Path(file).is_relative_to(Path(init).parent) for init in loaded if init)


def _worker_traceback(error: BaseException) -> str:
    """Return the traceback that ``error`` has as its message if it was raised in a worker of a DataLoader."""
    text = str(error.args[0]) if error.args else ''
    return text if text.startswith('Caught ') and 'Original Traceback' in text else ''


def _tell_log(message: str) -> None:
    """Write an error to the files of MMEngine's log as well."""
    if 'mmengine.logging' not in sys.modules:
        return
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.emit(logger.makeRecord(logger.name, logging.ERROR, __file__, 0, message, (), None))


def _tell_launcher(error: BaseException) -> None:
    """Let torchrun, if it started this process, repeat the error in its report on all processes."""
    if 'TORCHELASTIC_ERROR_FILE' in os.environ:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(error)
