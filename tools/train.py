"""Train a model: ``python tools/train.py CONFIG``."""

import argparse

from mmcggm.utils.launch_arguments import add_common_arguments
from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from a checkpoint: the given one, or the newest in the work_dir',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision; the balancing stays')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by actual over configured batch size (auto_scale_lr.base_batch_size)',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not validate during training')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    wait_passively()
    # Here, since --help needs no torch, which also reads once, when it is loaded, how threads wait.
    from mmcggm.engine.launch import build_runner, enable_amp, load_config

    cfg = load_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                '--auto-scale-lr needs `auto_scale_lr = dict(base_batch_size=...)` in the config.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    build_runner(cfg).train()


if __name__ == '__main__':
    run_tool(main)
