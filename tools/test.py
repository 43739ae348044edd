"""Test a model, or an ensemble of checkpoints: ``python tools/test.py CONFIG CHECKPOINT... [--out DIR]``."""

import argparse
from typing import TYPE_CHECKING

from mmcggm.utils.launch_arguments import add_common_arguments
from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        'checkpoint',
        nargs='+',
        help='path of the checkpoint; of several, of one network that segments, probabilities are averaged',
    )
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
    parser.add_argument(
        '--choose-threshold',
        nargs=2,
        metavar=('REGION', 'LABEL'),
        help='test on the validation split, and say below which volume in mm³ a region, such as ET, is '
        'better replaced by a label, such as NCR',
    )
    add_common_arguments(parser)
    return parser.parse_args()


def choose_threshold(cfg: 'Config', evaluators: list, region: str, by: str) -> list:
    """Let the test be of the validation split, and return evaluators of which one chooses the threshold.

    Raises:
        ValueError: If there is no such split, or the region is replaced already.
    """
    if cfg.get('val_dataloader') is None:
        raise ValueError('--choose-threshold needs `val_dataloader` in the config.')
    segmentor = cfg.model.get('model', cfg.model)
    steps = (segmentor.get('test_cfg') or {}).get('post_processing') or ()
    if any(str(step.get('type')).endswith('ReplaceSmall') for step in steps):
        raise ValueError(
            '--choose-threshold needs predictions as they are: take ReplaceSmall out of '
            '`test_cfg.post_processing`.'
        )
    cfg.test_dataloader = cfg.val_dataloader
    rule = next((entry['rule'] for entry in evaluators if 'rule' in entry), 'challenge')
    return [*evaluators, dict(type='mmcggm.SmallRegionThreshold', region=region, by=by, rule=rule)]


def main() -> None:
    args = parse_args()
    if args.format_only and args.out is None:
        raise ValueError('--format-only needs --out DIR.')
    wait_passively()
    # Here, since --help needs no torch, which also reads once, when it is loaded, how threads wait.
    from mmcggm.engine.launch import build_runner, load_config

    cfg = load_config(args)
    cfg.load_from, cfg.resume = args.checkpoint[0], False
    if len(args.checkpoint) > 1:
        ensemble = dict(type='mmcggm.EnsembleHook', checkpoints=args.checkpoint)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), ensemble]
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if args.format_only:
        evaluators = []
    if args.choose_threshold is not None:
        evaluators = choose_threshold(cfg, evaluators, *args.choose_threshold)
    if args.out is not None:
        evaluators.append(dict(type='mmcggm.NiftiWriter', out_dir=args.out, label_convention=args.out_labels))
    cfg.test_evaluator = evaluators
    build_runner(cfg).test()


if __name__ == '__main__':
    run_tool(main)
