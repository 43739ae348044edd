"""Check our Dice and HD95 against the scorer of the BraTS challenge.

    python tools/analysis_tools/challenge_score.py PRED_DIR --ref data/BraTS2021_Training_Data

Every segmentation ``PRED_DIR/{case}.nii.gz`` is compared with ``{case}_seg`` or ``{case}-seg`` below
the folder of the references, by this project and by ``brats-evaluate --config gli`` (``pip install
BraTS-evaluation``). Prints the figures of both and exits with 1 if they differ.

The scorer counts distances in voxels, whatever the voxels' size; so does this comparison.
"""

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from prettytable import PrettyTable

from mmcggm.evaluation.brats.label_files import read_labels
from mmcggm.evaluation.brats.regions import REGIONS, get_rule, region_scores
from mmcggm.utils.atomic import replacing
from mmcggm.utils.csv_files import write_csv

TOLERANCE = dict(Dice=1e-6, HD95=1e-3)
THEIR_NAME = dict(Dice='dsc', HD95='hd95')
SUFFIXES = ('.nii.gz', '.nii')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('pred_dir', type=Path, help='folder with a segmentation a case')
    parser.add_argument('--ref', type=Path, required=True, help='folder below which the references are')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    parser.add_argument('--csv', type=Path, help='also write a row a case and region to this file')
    return parser.parse_args(argv)


def find_pairs(pred_dir: Path, ref_dir: Path) -> dict[str, tuple[Path, Path]]:
    """Return the files of prediction and reference by case.

    Raises:
        FileNotFoundError: If there is no prediction, or one has no reference.
        ValueError: If a case has two references or predictions.
    """
    predictions = _by_stem(path for path in pred_dir.iterdir() if path.name.endswith(SUFFIXES))
    references = _by_stem(path for path in ref_dir.rglob('*seg.nii*') if path.name.endswith(SUFFIXES))
    if not predictions:
        raise FileNotFoundError(f'{pred_dir} holds no .nii.gz file. tools/test.py --out DIR writes them.')
    pairs = {}
    for case, preds in predictions.items():
        refs = [path for mark in '_-' for path in references.get(f'{case}{mark}seg', [])]
        if not refs:
            raise FileNotFoundError(
                f"No reference of case '{case}' below {ref_dir}: expected {case}_seg or {case}-seg, "
                '.nii.gz or .nii.'
            )
        if len(refs) > 1 or len(preds) > 1:
            found = ', '.join(str(path) for path in (*preds, *refs))
            raise ValueError(f"Case '{case}' needs one prediction and one reference, found {found}.")
        pairs[case] = preds[0], refs[0]
    return pairs


def _by_stem(paths) -> dict[str, list[Path]]:
    stems: dict[str, list[Path]] = {}
    for path in sorted(paths):
        stems.setdefault(path.name.removesuffix('.gz').removesuffix('.nii'), []).append(path)
    return stems


def stage(labels: np.ndarray, image: nib.Nifti1Image, path: Path) -> None:
    """Write labels in the geometry of ``image`` as the scorer reads them: integers, 3 for ET."""
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.moveaxis(labels, 0, 2), image.affine), path)


def run_scorer(folder: Path) -> dict[str, dict]:
    """Run the challenge's scorer on ``folder/{pred,ref}``; return its row of figures by file name."""
    summary, table = folder / 'summary.json', folder / 'table.csv'
    paths = ('--pred_path', folder / 'pred', '--ref_path', folder / 'ref', '--summary_json', summary)
    _run('evaluation', '--config', 'gli', *paths)
    for subject in json.loads(summary.read_text(encoding='utf-8'))['metrics']:
        if 'error' in subject:
            raise RuntimeError(f'The scorer failed on {subject["subject_name"]}: {subject["error"]}')
    _run('metrics_parser', 'seg', '--json_path', summary, '--output_csv_path', table)
    with table.open(encoding='utf-8', newline='') as file:
        return {row['subject_id']: row for row in csv.DictReader(file)}


def _run(module: str, *args: str | Path) -> None:
    # A command of its own: the scorer is under the AGPL, this project is not.
    command = [sys.executable, '-m', f'brats_evaluation.{module}', *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)} failed:\n{done.stdout}{done.stderr}')


def compare(pairs: dict[str, tuple[Path, Path]]) -> list[dict]:
    """Score all cases twice; return a row a case and region with both figures and their difference."""
    ours = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # The scorer recognises a case by an id such as 00001-000 in the names of its files.
        names = {case: f'{index:05d}-000.nii.gz' for index, case in enumerate(pairs)}
        for case, paths in pairs.items():
            (pred, pred_image), (truth, truth_image) = map(read_labels, paths)
            if pred.shape != truth.shape:
                raise ValueError(f'{paths[0]} has shape {pred.shape} and {paths[1]} {truth.shape}.')
            if not np.allclose(truth_image.header.get_zooms(), 1):
                print(
                    f'Note: {paths[1]} has voxels of {truth_image.header.get_zooms()} mm; HD95 is in voxels.'
                )
            stage(pred, pred_image, folder / 'pred' / names[case])
            stage(truth, truth_image, folder / 'ref' / names[case])
            ours[case] = region_scores(pred, truth, (1, 1, 1), get_rule('challenge'))
        theirs = run_scorer(folder)

    rows = []
    for case, name in names.items():
        for region in REGIONS:
            row = dict(case=case, region=region)
            for metric, our in zip(TOLERANCE, ours[case][region], strict=True):
                their = float(theirs[name][f'global_{THEIR_NAME[metric]}_{region.lower()}'] or 'nan')
                both_undefined = math.isnan(our) and math.isnan(their)
                difference = 0.0 if both_undefined else our - their
                row |= {f'{metric}_theirs': their, f'{metric}_ours': our, f'{metric}_difference': difference}
            rows.append(row)
    return rows


def agree(row: dict) -> bool:
    """Say whether both figures of a row agree; a figure that only one side has does not."""
    return all(abs(row[f'{metric}_difference']) <= tolerance for metric, tolerance in TOLERANCE.items())


def format_table(rows: list[dict]) -> str:
    table = PrettyTable(list(rows[0]), align='r')
    for row in rows:
        cells = [f'{cell:.6f}' if isinstance(cell, float) else cell for cell in row.values()]
        table.add_row(cells, divider=row['region'] == list(REGIONS)[-1])
    return table.get_string()


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if find_spec('brats_evaluation') is None:
        print("The challenge's scorer is not installed: pip install BraTS-evaluation", file=sys.stderr)
        return 2
    try:
        rows = compare(find_pairs(args.pred_dir, args.ref))
    except (OSError, ValueError, RuntimeError) as error:
        print(f'Error: {error}', file=sys.stderr)
        return 2
    print(format_table(rows))
    if args.csv:
        write_csv(args.csv, rows)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        # JSON knows no NaN.
        cells = [{key: None if value != value else value for key, value in row.items()} for row in rows]
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(cells, indent=2) + '\n', encoding='utf-8')
    disagreeing = sum(not agree(row) for row in rows)
    tolerances = ' and '.join(f'{tolerance:g} ({metric})' for metric, tolerance in TOLERANCE.items())
    if disagreeing:
        print(f'{disagreeing} of {len(rows)} rows differ by more than {tolerances}.')
        return 1
    print(f'All {len(rows)} rows agree to within {tolerances}.')
    return 0


if __name__ == '__main__':
    sys.exit(main())
