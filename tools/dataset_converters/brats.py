"""Convert a folder of BraTS cases to the store that training reads.

    python tools/dataset_converters/brats.py data/BraTS2021_Training_Data --out data/brats

Cases may be named as BraTS 2021 or as BraTS 2023 and later, and may lack a segmentation, with --allow-missing
also sequences. A run that was stopped is continued by the same command.

Exit status: 0 if all is well, 1 if a case is bad (without --skip-bad), 2 if the call or the set as a whole is
refused, the store cannot be written, or no case is good.
"""

import argparse
import os
from collections import Counter
from pathlib import Path

from mmcggm.datasets.brats.cases import printable
from mmcggm.datasets.brats.converter import convert_folder
from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.datasets.brats.patients import Patients, read_patient_table
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='labels:\n' + '\n'.join(f'  {convention.describe()}' for convention in CONVENTIONS.values()),
    )
    parser.add_argument('source', type=Path, help='folder with one folder a case')
    parser.add_argument('--out', type=Path, required=True, help='the store; made if absent')
    parser.add_argument(
        '--workers', type=int, default=min(4, os.cpu_count() or 1), help='processes, 1 GB each'
    )
    parser.add_argument(
        '--labels', choices=CONVENTIONS, help='what the labels mean, see below (default: what all files tell)'
    )
    parser.add_argument(
        '--allow-missing',
        action='store_true',
        help='take cases that lack sequences, though not all (default: they are bad)',
    )
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave bad cases out, also those that the store holds from before, and exit with 0',
    )
    parser.add_argument(
        '--prune', action='store_true', help='take cases that the source has no more out of the store'
    )
    patients = parser.add_mutually_exclusive_group()
    patients.add_argument(
        '--patient-pattern',
        metavar='REGEX',
        help="matches a case's id from its start; the first group is the patient (default: the usual names)",
    )
    patients.add_argument(
        '--patients', type=Path, metavar='CSV', help="table with the columns 'case' and 'patient'"
    )
    parser.add_argument(
        '--split',
        type=float,
        nargs=3,
        default=(0.8, 0.1, 0.1),
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='shares of the patients (default: 0.8 0.1 0.1)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the splits; an existing splits.json keeps its own'
    )
    args = parser.parse_args()
    if args.workers < 1:
        parser.error(f'--workers is {args.workers}; at least one is needed')
    return args


def main() -> int:
    args = parse_args()
    patients = None
    if args.patients or args.patient_pattern:
        table = read_patient_table(args.patients) if args.patients else None
        patients = Patients(args.patient_pattern, table)
    outcomes = convert_folder(
        args.source,
        args.out,
        workers=args.workers,
        allow_missing=args.allow_missing,
        skip_bad=args.skip_bad,
        prune=args.prune,
        labels=args.labels,
        patients=patients,
        fractions=args.split,
        seed=args.seed,
    )
    count = Counter(outcome.status for outcome in outcomes)
    lacking = sum(bool(outcome.missing) for outcome in outcomes)
    print(
        f'{count["converted"]} converted, {count["present"]} already there, {count["bad"]} bad'
        f'{f", {lacking} without all sequences" if lacking else ""}: {printable(args.out)}'
    )
    if count['bad'] and not args.skip_bad:
        print(
            'Repair the bad cases, or leave them out with --skip-bad; until then splits.json is not written.'
        )
        return 1
    return 0 if count['converted'] or count['present'] else 2


if __name__ == '__main__':
    run_tool(main, status_of_errors=2)
