"""Which cases are of one patient: told from their names, by a pattern or a table, and by equal scans."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmcggm.utils.counted import counted

MANY = 20  # cases of a patient, from which on the names rather count patients than visits

# What follows the patient's own id in the names of many collections; the first that fits is used.
_VISIT = (
    r'(?:ses|session|visit|tp|time[-_ ]?point|time|scan|exam|study|week|month|day|year|fu|follow[-_ ]?up)'
)
_STAGE = r'(?:pre|post)(?:[-_ ]?(?:op|operative|treatment|rt|therapy))?|baseline|follow[-_ ]?up|recurrence'
_DATE = r'(?:19|20)\d\d(?P<dash>[-_.]?)(?:0[1-9]|1[0-2])(?P=dash)(?:0[1-9]|[12]\d|3[01])'
_NAMES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r'(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?:[-_.].*)?',
        r'(sub-[A-Z0-9]*\d[A-Z0-9]*)_.+',
        r'((?:.*[-_ ])?(?:patient|pat|subject|subj|sub|pt)(?:[-_ ]?id)?[-_ ]?\d+)[-_ .].+',
        r'(BraTS-[A-Z]+(?:-RT)?-\d+)-\d+',
        rf'(.+?)[-_ .]+{_VISIT}[-_ ]?\d+[A-Z]?',
        rf'(.+?)[-_ .]+(?:{_STAGE})[-_ ]?\d*',
        r'(.+)[-_ .][tv]\d{1,3}',
        r'(.*\d)[-_ .][dmswy]\d{1,3}',
        rf'(.+?)[-_ .]{_DATE}',
        r'((?:.*\D)?(?!(?:19|20)\d\d[-_ .])\d{3,})[-_ .]\d{1,3}',
        r'(.*\d{4,})[A-D]',
    )
)


def patient_of(case: str) -> str:
    """Return the patient of a case by its name: what visits, dates and trailing counters add is left out.

    A trailing counter has at most three digits and follows a number of at least three that is no year.

    >>> patient_of('BraTS-GLI-00001-000')
    'BraTS-GLI-00001'
    >>> patient_of('sub-007_ses-02')
    'sub-007'
    >>> patient_of('BraTS2021_00001')
    'BraTS2021_00001'
    """
    match = next(filter(None, (name.fullmatch(case) for name in _NAMES)), None)
    return match[1] if match else case


@dataclass(frozen=True)
class Patients:
    """How a set's patients are told.

    Attributes:
        pattern: Regular expression whose first group, matched from the id's beginning, is the patient.
        table: Patient by case. Without pattern and table the names tell, see :func:`patient_of`.
        same_scans: Groups of cases that hold one scan: their patients are one.
    """

    pattern: str | None = None
    table: Mapping[str, str] | None = None
    same_scans: Sequence[Sequence[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ValueError(
                    f'--patient-pattern {self.pattern!r} is no regular expression: {error}.'
                ) from None
            if not groups:
                raise ValueError(
                    f'--patient-pattern {self.pattern!r} has no group; put what '
                    'names the patient in parentheses.'
                )

    def of(self, case: str) -> str:
        """Return the patient of a case."""
        patient = self._named(case) or case
        return self._merged.get(patient, patient)

    def check(self, cases: Iterable[str]) -> None:
        """Raise ValueError if the pattern or the table says nothing of one of the cases."""
        silent = [case for case in cases if self._named(case) is None]
        if silent:
            how = f'--patient-pattern {self.pattern!r}' if self.pattern else 'the table of --patients'
            raise ValueError(f"{how} names no patient of {len(silent)} cases, e.g. '{silent[0]}'.")

    def groups(self, cases: Iterable[str]) -> dict[str, list[str]]:
        """Return the cases of each patient, in order."""
        groups = defaultdict(list)
        for case in sorted(cases):
            groups[self.of(case)].append(case)
        return dict(groups)

    def describe(self, cases: Sequence[str]) -> str:
        """Say how many patients were found, how, and show some."""
        groups = self.groups(cases)
        how = 'pattern' if self.pattern else 'table' if self.table is not None else 'names'
        several = {patient: members for patient, members in groups.items() if len(members) > 1}
        text = f'{len(groups)} in {counted(len(cases), "case")}, told by their {how}'
        if not several:
            return f'{text}: each case is a patient of its own.'
        shown = '; '.join(f'{patient} = {_some(members)}' for patient, members in [*several.items()][:3])
        text += f'; {len(several)} of them with several cases, e.g. {shown}.'
        largest, count = Counter(map(self._named, cases)).most_common(1)[0]
        if count > MANY and how == 'names':
            text += (
                f' WARNING {largest} has {count} cases: if these are several patients, say how they are '
                'told with --patient-pattern or --patients.'
            )
        return text

    def _named(self, case: str) -> str | None:
        if self.table is not None:
            return self.table.get(case)
        if self.pattern is not None:
            match = re.match(self.pattern, case)
            return match[1] if match else None
        return patient_of(case)

    @cached_property
    def _merged(self) -> dict[str, str]:
        """The patient that stands for each of those whose scans are equal."""
        merged: dict[str, str] = {}
        for group in self.same_scans:
            named = {self._named(case) or case for case in group}
            named |= {merged[patient] for patient in named if patient in merged}
            joined = named | {patient for patient, first in merged.items() if first in named}
            merged.update(dict.fromkeys(joined, min(joined)))
        return merged

    def to_json(self) -> dict:
        """Return what ``splits.json`` keeps."""
        how = (
            {'pattern': self.pattern}
            if self.pattern
            else {'table': self.table}
            if self.table is not None
            else 'names'
        )
        return dict(patients=how, same_scans=[list(group) for group in self.same_scans])

    @classmethod
    def from_json(cls, content: Mapping) -> 'Patients':
        """Read what :meth:`to_json` returned; an older file keeps neither key.

        Raises:
            ValueError: If it has another form.
        """
        how, same = content.get('patients', 'names'), content.get('same_scans', [])
        pattern, table = (how.get(key) if isinstance(how, dict) else None for key in ('pattern', 'table'))
        known = how == 'names' or isinstance(pattern, str) or isinstance(table, dict)
        groups = isinstance(same, list) and all(isinstance(group, list) for group in same)
        names = [name for group in same for name in group] if groups else [None]
        if not known or not all(isinstance(name, str) for name in [*names, *(table or {}).values()]):
            raise ValueError(
                "'patients' must be 'names', {'pattern': REGEX} or {'table': {case: patient}}, and "
                "'same_scans' a list of lists of cases"
            )
        return cls(pattern, table, same)


def equal_scans(scans: Mapping[str, str]) -> list[list[str]]:
    """Return the groups of cases that hold one scan, given the digest of each case's scan."""
    cases = defaultdict(list)
    for case, scan in scans.items():
        cases[scan].append(case)
    return [group for group in cases.values() if len(group) > 1]


def read_patient_table(path: str | Path) -> dict[str, str]:
    """Read a CSV file with the columns ``case`` and ``patient``, parted by commas, semicolons or tabs.

    Raises:
        ValueError: If it cannot be read, lacks a column or a value, or names a case twice.
    """
    try:
        with open(path, encoding='utf-8-sig', newline='') as file:
            header = file.readline()
            file.seek(0)
            parts = max(',;\t', key=header.count)
            rows = list(csv.DictReader(file, delimiter=parts))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f'--patients {path} cannot be read: {error}.') from error
    table: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        case, patient = ((row.get(key) or '').strip() for key in ('case', 'patient'))
        if not case or not patient:
            raise ValueError(
                f"--patients {path}, row {number}: needs the columns 'case' and 'patient', both filled."
            )
        if table.setdefault(case, patient) != patient:
            raise ValueError(
                f"--patients {path}, row {number}: case '{case}' has a second patient, '{patient}'."
            )
    return table


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:4]) + (f' and {len(names) - 4} more' if len(names) > 4 else '')
