"""Check our Dice and HD95 against the scorer of the BraTS challenge.

    python tools/analysis_tools/challenge_score.py PRED_DIR --ref data/BraTS2021_Training_Data

Every segmentation ``PRED_DIR/{case}.nii.gz`` is compared with ``{case}_seg`` or ``{case}-seg`` below
the folder of the references, by this project and by ``brats-evaluate`` (``pip install
BraTS-evaluation``) with the config of these labels. What the labels mean is told from all files, or by
``--labels``. Prints the figures of both and exits with 1 if they differ.

The scorer counts distances in voxels, whatever the voxels' size; so does this comparison.
"""

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
from prettytable import PrettyTable

from mmcggm.datasets.brats.case_volumes import check_same_geometry
from mmcggm.datasets.brats.cases import NAMINGS, find_segmentations
from mmcggm.datasets.brats.label_conventions import (
    CONVENTIONS,
    LabelConvention,
    Scheme,
    choose_convention,
    get_convention,
)
from mmcggm.datasets.brats.nifti import Volume
from mmcggm.evaluation.brats.label_files import labels_on_disk, read_labels
from mmcggm.evaluation.brats.regions import get_rule, region_scores
from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing
from mmcggm.utils.csv_files import write_csv
from mmcggm.utils.run_tool import run_tool

TOLERANCE = dict(Dice=1e-6, HD95=1e-3)
THEIR_NAME = dict(Dice='dsc', HD95='hd95')
SUFFIXES = ('.nii.gz', '.nii')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('pred_dir', type=Path, help='folder with a segmentation a case')
    parser.add_argument('--ref', type=Path, required=True, help='folder below which the references are')
    parser.add_argument('--labels', choices=CONVENTIONS, help='what the labels of the references mean')
    parser.add_argument(
        '--pred-labels', choices=CONVENTIONS, help='what those of the predictions mean (default: the same)'
    )
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    parser.add_argument('--csv', type=Path, help='also write a row a case and region to this file')
    return parser.parse_args(argv)


def find_pairs(pred_dir: Path, ref_dir: Path) -> dict[str, tuple[Path, Path]]:
    """Return the files of prediction and reference by case.

    Raises:
        FileNotFoundError: If a folder is absent, there is no prediction, or one has no reference.
        ValueError: If a case has two references or predictions.
    """
    predictions = _by_stem(path for path in pred_dir.iterdir() if path.name.endswith(SUFFIXES))
    if not predictions:
        raise FileNotFoundError(f'{pred_dir} holds no .nii.gz file. tools/test.py --out DIR writes them.')
    references = find_segmentations(ref_dir)
    pairs = {}
    for case, preds in predictions.items():
        refs = references.get(case, [])
        if not refs:
            raise FileNotFoundError(
                f"No reference of case '{case}' below {ref_dir}: expected "
                f'{case}_seg or {case}-seg, .nii.gz or .nii.'
            )
        if len(refs) > 1 or len(preds) > 1:
            found = ', '.join(str(path) for path in (*preds, *refs))
            raise ValueError(f"Case '{case}' needs one prediction and one reference, found {found}.")
        pairs[case] = preds[0], refs[0]
    return pairs


def _by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    stems: dict[str, list[Path]] = {}
    for path in sorted(paths):
        stems.setdefault(path.name.removesuffix('.gz').removesuffix('.nii'), []).append(path)
    return stems


def choose_conventions(
    pairs: dict[str, tuple[Path, Path]], labels: str | None, pred_labels: str | None
) -> dict[str, tuple[LabelConvention, LabelConvention]]:
    """Return the conventions of prediction and reference by case, all of the same classes.

    Raises:
        ValueError: If the files leave open what the labels mean, or if the classes differ.
    """
    result = {}
    for name, naming in NAMINGS.items():
        members = {case: pair for case, pair in pairs.items() if naming.parse(pair[1].name)}
        if not members:
            continue
        if labels is None:
            found = labels_on_disk(ref for _, ref in members.values())
            truth = choose_convention(
                name, {case: [v for v in held if v <= 4] for case, held in found.items()}
            )
        else:
            truth = get_convention(labels)
        pred = get_convention(pred_labels) if pred_labels else truth
        result |= dict.fromkeys(members, (pred, truth))
    used = [convention for both in result.values() for convention in both]
    for convention in used:
        if convention.scheme != used[0].scheme:
            raise ValueError(f'The classes of {used[0].name} and {convention.name} differ: score them apart.')
    return result


def stage(labels: Volume, path: Path) -> None:
    """Write training labels as the scorer reads them: integers, numbered as its own."""
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.moveaxis(labels.array, 0, 2), labels.affine), path)


def run_scorer(folder: Path, config: str) -> dict[str, dict]:
    """Run the challenge's scorer on ``folder/{pred,ref}``; return its row of figures by file name."""
    summary, table = folder / 'summary.json', folder / 'table.csv'
    paths = ('--pred_path', folder / 'pred', '--ref_path', folder / 'ref', '--summary_json', summary)
    _run('evaluation', '--config', config, *paths)
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


def compare(
    pairs: dict[str, tuple[Path, Path]], conventions: dict[str, tuple[LabelConvention, LabelConvention]]
) -> list[dict]:
    """Score all cases twice; return a row a case and region with both figures and their difference."""
    ours = {}
    scheme: Scheme = next(iter(conventions.values()))[0].scheme
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # The scorer recognises a case by an id such as 00001-000 in the names of its files.
        names = {case: f'{index:05d}-000.nii.gz' for index, case in enumerate(pairs)}
        for case, paths in pairs.items():
            pred, truth = (read_labels(*both) for both in zip(paths, conventions[case], strict=True))
            check_same_geometry(pred, truth)
            sizes = nib.affines.voxel_sizes(truth.affine)
            if not np.allclose(sizes, 1):
                print(f'Note: {paths[1]} has voxels of {sizes.tolist()} mm; HD95 is in voxels.')
            stage(pred, folder / 'pred' / names[case])
            stage(truth, folder / 'ref' / names[case])
            ours[case] = region_scores(
                pred.array, truth.array, (1, 1, 1), get_rule('challenge'), scheme.regions
            )
        theirs = run_scorer(folder, scheme.scorer)

    rows = []
    for case, name in names.items():
        for region in scheme.regions:
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
        table.add_row(cells, divider=row['region'] == rows[-1]['region'])
    return table.get_string()


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    import_optional('brats_evaluation', extra='dev')  # which runs as a process of its own
    pairs = find_pairs(args.pred_dir, args.ref)
    rows = compare(pairs, choose_conventions(pairs, args.labels, args.pred_labels))
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
    run_tool(main, status_of_errors=2)
