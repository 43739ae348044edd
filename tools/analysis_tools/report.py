"""Write one HTML page on one or several trainings, which holds all that it shows.

    python tools/analysis_tools/report.py work_dirs/baseline/mfeat work_dirs/cggm/mfeat --out report.html
    python tools/analysis_tools/report.py work_dirs/cggm/brats_unet --predictions segmentations --out r.html

It shows settings, results, curves, what each modality contributes, and sample predictions: the pictures in
the work folders and, with --predictions, segmentations beside their references.
"""

import argparse
from pathlib import Path

from mmcggm.utils.atomic import replacing
from mmcggm.utils.run_tool import run_tool
from mmcggm.visualization.report import report_page
from mmcggm.visualization.sample_cases import draw_sample_cases
from mmcggm.visualization.training_log import TrainingLog, read_training


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dirs', type=Path, nargs='+', help='work folders of the trainings')
    parser.add_argument('--out', type=Path, required=True, help='the page')
    parser.add_argument(
        '--predictions',
        type=Path,
        nargs='+',
        default=[],
        metavar='DIR',
        help='folders with {case}.nii.gz, as tools/test.py --out writes, one a training in the same order',
    )
    args = parser.parse_args(argv)
    if args.predictions and len(args.predictions) != len(args.work_dirs):
        parser.error(f'{len(args.work_dirs)} trainings need as many folders of --predictions')
    return args


def store_of(training: TrainingLog) -> str:
    """Return the store of the cases that a training was tested on, as its config names it."""
    dataset = (training.cfg.get('test_dataloader') or {}).get('dataset', {})
    if not dataset.get('data_root'):
        raise ValueError(
            '--predictions are segmentations of cases in a store, but the config of '
            f'{training.work_dir} names none (`test_dataloader.dataset.data_root`).'
        )
    return dataset.data_root


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    trainings = [read_training(folder) for folder in args.work_dirs]
    samples = {
        str(folder): draw_sample_cases(store_of(training), folder)
        for training, folder in zip(trainings, args.predictions, strict=False)
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    page = report_page(trainings, samples)
    with replacing(args.out) as temporary:
        temporary.write_text(page, encoding='utf-8')
    print(f'{args.out} ({len(page) / 1e6:.1f} MB)')
    return 0


if __name__ == '__main__':
    run_tool(main)
