"""Predict with a trained model.

    python tools/infer.py CONFIG CHECKPOINT INPUT --out DIR
    python tools/infer.py CONFIG CHECKPOINT CHECKPOINT INPUT --out DIR

With a model of BraTS, INPUT is a folder of a case or of cases in NIfTI, as the converter reads them, and DIR
gets `{case}.nii.gz` in the geometry and label convention of the source, `volumes.csv` with the volumes of the
regions in ml, and `overlays/{case}.png`. Several checkpoints of one such model, files `*.pth`, are an
ensemble: the probabilities are the mean of theirs. With any other model, INPUT is a file that holds an array
a modality under its name, or a folder of a file a modality, and DIR gets `predictions.csv`.

What is there, made with the same model and from the same files, is kept: a run that was stopped is continued
by the same command.

Exit status: 0 if all is well, 1 if a case is bad (it is named, and the others are done), 2 if the call is
refused, DIR cannot be written, or no case is good.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.utils.csv_files import write_csv
from mmcggm.utils.folders import make_writable
from mmcggm.utils.launch_arguments import OptionAction, add_trust

from .inference_model import read_inference_config, tested_data
from .prediction import KINDS, PredictionInferencer
from .run_record import RunRecord, settings_of
from .segment_folder import segment_folder
from .segmentation import DATASETS, SegmentationInferencer

CHECKPOINTS = '.pth'  # how the names of files of weights end
SEGMENTATION = ('labels', 'out_labels', 'probabilities', 'allow_missing', 'no_overlays')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='labels:\n' + '\n'.join(f'  {convention.describe()}' for convention in CONVENTIONS.values()),
    )
    parser.add_argument('config', help='path of the config; - takes the one that the checkpoint keeps')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='folder or file, see above; or several. Before them further checkpoints of an ensemble',
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder of the results')
    parser.add_argument('--device', help='such as cuda:0 or cpu (default: an accelerator if there is one)')
    parser.add_argument(
        '--batch-size',
        type=int,
        metavar='N',
        help="samples, or a volume's slices, in one pass (default: 64 samples; slices as the config says)",
    )
    parser.add_argument('--overwrite', action='store_true', help='replace results that are there')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionAction, help='override settings of the config: key=value'
    )
    add_trust(parser)
    brats = parser.add_argument_group('segmentation')
    brats.add_argument(
        '--labels', choices=CONVENTIONS, help='what labels of the source mean (default: what all files tell)'
    )
    brats.add_argument(
        '--out-labels', metavar='NAME', help='whose labels the files get (default: as in the source)'
    )
    brats.add_argument(
        '--probabilities', action='store_true', help='write probabilities/{case}.nii.gz, a volume a class'
    )
    brats.add_argument(
        '--allow-missing',
        action='store_true',
        help="segment also cases that lack sequences; each is absent (see the page 'Inference: from a "
        "checkpoint to an answer' of the documentation)",
    )
    brats.add_argument('--no-overlays', action='store_true', help='draw no pictures')
    brats.add_argument(
        '--workers',
        type=int,
        help='cases that are read ahead, 1 GB each (default: 1; 4 where the model runs on an accelerator)',
    )
    others = parser.add_argument_group('prediction')
    others.add_argument(
        '--task', choices=KINDS, help="what is predicted (default: what the model's loss is for)"
    )
    args = parser.parse_args(argv)
    for name in ('batch_size', 'workers'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} is {getattr(args, name)}; at least one is needed')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, see the top of this file; return the exit status."""
    args = parse_args(argv)
    make_writable(args.out, '--out')
    cfg = read_inference_config(
        None if args.config == '-' else args.config, args.checkpoint, args.cfg_options, args.trust
    )
    common = dict(config=cfg, device=args.device, trust=args.trust)
    if tested_data(cfg).get('type') in DATASETS:
        return _segment(args, common)
    given = [f'--{name.replace("_", "-")}' for name in SEGMENTATION if getattr(args, name)]
    if given:
        raise ValueError(f'{", ".join(given)} is for models that segment, which this is not.')
    return _predict(args, common)


def _segment(args: argparse.Namespace, common: dict[str, Any]) -> int:
    # Segmentations are made of folders, so a file of weights is one more member of an ensemble.
    further = list(takewhile(lambda path: path.endswith(CHECKPOINTS), args.inputs))
    checkpoints, inputs = [args.checkpoint, *further], args.inputs[len(further) :]
    if not inputs:
        raise ValueError(f'{" ".join(checkpoints)} are checkpoints: name a folder of cases after them.')
    settings = settings_of(checkpoints, common['config'])
    inferencer = SegmentationInferencer(
        **common,
        checkpoint=checkpoints,
        labels=args.labels,
        out_labels=args.out_labels,
        allow_missing=args.allow_missing,
        batch_size=args.batch_size,
    )
    # Not `allow_missing`: it says which cases there are results of, not what they are.
    settings |= dict(labels=args.labels, out_labels=args.out_labels)
    summary = segment_folder(
        inferencer,
        inputs,
        args.out,
        settings,
        probabilities=args.probabilities,
        overlays=not args.no_overlays,
        overwrite=args.overwrite,
        workers=args.workers or (1 if inferencer.device.type == 'cpu' else 4),
    )
    if summary.segmented:
        print(summary.spent.describe())
    print(
        f'{len(summary.segmented)} segmented, {len(summary.present)} already '
        f'there, {len(summary.bad)} bad: {args.out}'
    )
    return summary.status


def _predict(args: argparse.Namespace, common: dict[str, Any]) -> int:
    settings = settings_of([args.checkpoint], common['config']) | dict(task=args.task)
    target = args.out / 'predictions.csv'
    record = RunRecord(args.out, settings, args.overwrite, [target.name])
    fingerprint = [entry for path in args.inputs for entry in _fingerprint(Path(path))]
    if record.is_done(target.name, fingerprint) and target.exists():
        print(f'Already there: {target}')
        return 0
    inferencer = PredictionInferencer(
        **common, checkpoint=args.checkpoint, task=args.task, batch_size=args.batch_size or 64
    )
    inputs = args.inputs if len(args.inputs) > 1 else args.inputs[0]
    predictions = inferencer(inputs, progress=sys.stderr.isatty())
    record.begin()
    write_csv(target, [_row(inferencer, prediction) for prediction in predictions])
    record.add(target.name, fingerprint)
    print(f'{len(predictions)} predictions: {target}')
    return 0


def _row(inferencer: PredictionInferencer, prediction: dict[str, Any]) -> dict[str, Any]:
    """Return a prediction as a row of a table: a column a class or target."""
    row = {name: value for name, value in prediction.items() if name not in ('pred_scores', 'pred_value')}
    for name in ('pred_label', 'pred_class'):
        if isinstance(row.get(name), list):
            row[name] = ' '.join(map(str, row[name]))
    for label, score in enumerate(prediction.get('pred_scores', ())):
        row[f'score {inferencer.name_of_class(label)}'] = float(score)
    for place, value in enumerate(prediction.get('pred_value', ())):
        row[f'pred_value {place}'] = float(value)
    return row


def _fingerprint(path: Path) -> list:
    """Return name, size in bytes and modification time in ns of a file, or of those in a folder."""
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.exists()]
