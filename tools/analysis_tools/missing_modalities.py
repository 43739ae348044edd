"""Test a model with each subset of its modalities, as when a patient lacks sequences.

    python tools/analysis_tools/missing_modalities.py CONFIG CHECKPOINT

The representations of missing modalities are zero, as in training with ModalityDropout. Writes
missing_modalities.json, .md (a line a subset, and their mean) and .png.
"""

import argparse
from pathlib import Path

from mmcggm.utils.launch_arguments import add_common_arguments
from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool

NAME = 'missing_modalities'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config of a GuidedModel')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the work_dir)')
    parser.add_argument('--split', choices=('val', 'test'), default='test', help='default: test')
    parser.add_argument(
        '--metrics',
        nargs='+',
        help='which to show, by their names in the log, the first 4 also in the picture (default: all, '
        'and in the picture those that are named like the first, such as Dice_WT, Dice_TC and Dice_ET)',
    )
    add_common_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    wait_passively()
    # Here, since --help needs no torch, which also reads once, when it is loaded, how threads wait.
    import json

    from mmengine.dist import is_main_process

    from mmcggm.engine.launch import build_runner, load_config
    from mmcggm.engine.subsets import evaluate_subsets
    from mmcggm.utils.atomic import replacing
    from mmcggm.visualization.figures import save_figure
    from mmcggm.visualization.subsets_plot import draw_subsets, subsets_table

    cfg = load_config(args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.split == 'val':
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    runner = build_runner(cfg)
    results = evaluate_subsets(runner, args.metrics or ())
    if not is_main_process():
        return
    metrics = args.metrics or list(next(iter(results.values())))
    drawn = args.metrics or [name for name in metrics if name.split('_')[0] == metrics[0].split('_')[0]]
    folder = args.out or Path(runner.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    table = subsets_table(results, metrics)
    content = [dict(modalities=subset, **values) for subset, values in results.items()]
    for suffix, text in (('json', json.dumps(content, indent=1) + '\n'), ('md', table)):
        with replacing(folder / f'{NAME}.{suffix}') as temporary:
            temporary.write_text(text, encoding='utf-8')
    save_figure(draw_subsets(results, drawn[:4]), folder / f'{NAME}.png')
    print(f'{table}Wrote {folder / NAME}.json, .md and .png')


if __name__ == '__main__':
    run_tool(main)
