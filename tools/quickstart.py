"""A first result on real data: which exercise it is, from the accelerometer and the gyroscope of a watch.

    python tools/quickstart.py

Converts the recordings that the installed seglearn brings (1,449 windows of two seconds train, six subjects),
trains two encoders balanced by CGGM, tests them on two subjects that were never seen, and draws how they were
balanced. It does so by other commands, which it prints for you to go on with. All files go to data/ and
work_dirs/ in the current folder; a run that was stopped is continued by the same command.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from mmcggm.utils.run_tool import run_tool

CONFIG = 'cggm/watch.py'
DATA, WORK_DIR = Path('data/watch'), Path('work_dirs/cggm/watch')
PICTURE, LOG = WORK_DIR / 'balance.png', WORK_DIR / 'quickstart.log'


def mmcggm(*arguments: object) -> None:
    """Run a command, its output to the log; exit with its status where it fails, since it has said why."""
    words = [str(argument) for argument in arguments]
    print(f'$ mmcggm {shlex.join(words)}', flush=True)
    start = time.monotonic()
    with LOG.open('a', encoding='utf-8') as log:
        status = subprocess.run([sys.executable, '-m', 'mmcggm', *words], stdout=log).returncode
    if status:
        print(f'What it had printed before: {LOG}', file=sys.stderr)
        sys.exit(status)
    print(f'  ({time.monotonic() - start:.0f} s)', flush=True)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    WORK_DIR.mkdir(parents=True, exist_ok=True)
    mmcggm('convert', 'watch', '--out', DATA)
    mmcggm('train', CONFIG, '--resume')
    (best,) = WORK_DIR.glob('best_accuracy_epoch_*.pth')
    mmcggm('test', CONFIG, best)
    mmcggm('plot', 'balance', WORK_DIR, '--out', PICTURE)
    result = json.loads(max(WORK_DIR.glob('*/*.json')).read_text(encoding='utf-8'))
    sensors = ', '.join(
        f'{key.removeprefix("guide/")} {result[key]:.1%}' for key in result if 'guide/' in key
    )
    print(f'\nRecognised in the test: {result["accuracy"]:.1%} of the windows (by the guides: {sensors})')
    print(f'How the sensors were balanced, and what each has learnt: {PICTURE}')


if __name__ == '__main__':
    run_tool(main)
