"""Plot keys of training logs, or time an iteration: mmpretrain's ``analyze_logs.py`` as it is.

    python tools/analysis_tools/analyze_logs.py plot_curve LOG.json [LOG.json ...] --keys loss --out loss.png
    python tools/analysis_tools/analyze_logs.py cal_train_time LOG.json

A log is ``{work_dir}/{time}/vis_data/scalars.json``. plot_balance.py and report.py show more of a training.
"""

import runpy
import sys
from pathlib import Path

import mmpretrain

from mmcggm.utils.run_tool import run_tool

TOOL = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'analysis_tools' / 'analyze_logs.py'


def check(words: list[str]) -> None:
    """Raise an error where mmpretrain's tool would end without a word, or without a result."""
    if words[:1] == ['plot_curve'] and not {'--out', '-h', '--help'} & {w.partition('=')[0] for w in words}:
        raise ValueError('Say where the plot goes: --out loss.png. No window is opened.')
    options = next((place for place, word in enumerate(words) if word.startswith('-')), len(words))
    for log in map(Path, words[1:options]):
        if log.suffix != '.json' or not log.is_file():
            found = sorted(log.glob('**/vis_data/scalars.json'))
            hint = f' In it is {found[-1]}.' if found else ''
            raise ValueError(f"'{log}' is no log: name {{work_dir}}/{{time}}/vis_data/scalars.json.{hint}")


def main(argv: list[str] | None = None) -> int:
    if not TOOL.exists():
        raise FileNotFoundError(f'The installed mmpretrain lacks {TOOL}: install it as a wheel, with pip.')
    sys.argv[1:] = sys.argv[1:] if argv is None else argv
    check(sys.argv[1:])
    runpy.run_path(str(TOOL), run_name='__main__')
    return 0


if __name__ == '__main__':
    run_tool(main)
