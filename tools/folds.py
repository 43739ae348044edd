"""Cross-validate a network for brain tumours: train, predict and score k folds of patients.

    python tools/folds.py configs/cggm/brats_unet_demo.py --folds 5

Each labelled case of the store that the config names is held out once, with all others of its patient; the
store's own train, val and test play no part. What is done is not repeated: stopped, the same command goes on,
a training from its newest checkpoint. On several hosts that share the folder, the same command shares out the
folds. With `--engine submitit` they are jobs of Slurm. In the work dir are then the table (Markdown, CSV,
JSON), the figures of each case (cases.csv), all segmentations as NIfTI, and of each fold the log, the
checkpoints and the cases. Exits with 1 if a fold failed.
"""

import argparse
from pathlib import Path

from mmcggm.utils.launch_arguments import OptionAction, add_engine_arguments
from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config of one training')
    parser.add_argument('--folds', type=int, default=5, metavar='K', help='how many (default: 5)')
    parser.add_argument(
        '--seed', type=int, default=0, help="of the folds (default: 0); that of the trainings is the config's"
    )
    parser.add_argument(
        '--val-share',
        type=float,
        metavar='SHARE',
        help='of the patients beside a fold, who validate its training (default: 0.1 if the config asks '
        'which checkpoint is best, stops early or waits for a plateau, else 0: all train, nobody validates)',
    )
    parser.add_argument(
        '--work-dir', type=Path, help='folder of folds and table (default: work_dirs/folds/FOLDER/NAME)'
    )
    parser.add_argument(
        '--out-labels',
        metavar='NAME',
        default='source',
        help='whose labels the segmentations get, as of tools/test.py (default: as in the source)',
    )
    add_engine_arguments(parser, 'folds')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        help='override settings of the config: key=value, nested keys with dots',
    )
    args = parser.parse_args()
    if args.engine_options and args.engine == 'local':
        parser.error('--engine-options are of --engine submitit.')
    return args


def main() -> int:
    args = parse_args()
    wait_passively()  # the folds' processes inherit it
    # Here, since --help needs none of them.
    from mmcggm.benchmark import SubmititEngine
    from mmcggm.engine.launch import default_work_dir
    from mmcggm.engine.settings import read_config
    from mmcggm.folds import (
        SEGMENTATIONS,
        CrossValidation,
        read_scores,
        summarise,
        to_markdown,
        write_tables,
    )
    from mmcggm.utils.counted import counted

    cfg = read_config(args.config, args.cfg_options)
    work_dir = args.work_dir or Path('work_dirs', 'folds', *default_work_dir(args.config, cfg).parts[1:])
    validation = CrossValidation(cfg, args.folds, args.seed, args.val_share, args.out_labels)
    print(validation.describe(), flush=True)
    engine = SubmititEngine(work_dir, args.engine_options) if args.engine == 'submitit' else None
    runs, failed = validation.run(work_dir, args.jobs, engine)
    done = [run for run in runs if run not in failed]
    scores = read_scores(done, work_dir, validation.patients)
    if scores:
        rows = summarise(scores, complete=not failed)
        write_tables(rows, scores, work_dir)
        print(to_markdown(rows), end='')
        print(f'Segmentations of {counted(len(scores), "case")}: {work_dir / SEGMENTATIONS}')
    if failed:
        print(f'{len(failed)} of {len(runs)} folds failed; the same command repeats them.')
    return 1 if failed else 0


if __name__ == '__main__':
    run_tool(main)
