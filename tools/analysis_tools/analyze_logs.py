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


def main(argv: list[str] | None = None) -> int:
    if not TOOL.exists():
        raise FileNotFoundError(f'The installed mmpretrain lacks {TOOL}: install it as a wheel, with pip.')
    sys.argv[1:] = sys.argv[1:] if argv is None else argv
    runpy.run_path(str(TOOL), run_name='__main__')
    return 0


if __name__ == '__main__':
    run_tool(main)
