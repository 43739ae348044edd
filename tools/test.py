"""Test a model: ``python tools/test.py CONFIG CHECKPOINT [--out DIR]``."""

import argparse

from mmcggm.utils.launch_arguments import add_common_arguments
from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', metavar='DIR', help="write each case's segmentation to DIR/{case}.nii.gz")
    parser.add_argument(
        '--out-labels',
        metavar='NAME',
        default='source',
        help='whose labels the files get: as in the source (default), 2021 (enhancing tumour is 4), 2023 (it '
        'is 3), or a name that tools/dataset_converters/brats.py --help lists',
    )
    parser.add_argument(
        '--format-only', action='store_true', help='write the segmentations without computing metrics'
    )
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.format_only and args.out is None:
        raise ValueError('--format-only needs --out DIR.')
    wait_passively()
    # Here, since --help needs no torch, which also reads once, when it is loaded, how threads wait.
    from mmcggm.engine.launch import build_runner, load_config

    cfg = load_config(args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if args.format_only:
        evaluators = []
    if args.out is not None:
        evaluators.append(dict(type='mmcggm.NiftiWriter', out_dir=args.out, label_convention=args.out_labels))
    cfg.test_evaluator = evaluators
    build_runner(cfg).test()


if __name__ == '__main__':
    run_tool(main)
