"""Cases as the BraTS challenges publish them: how they are named, and finding them in a folder.

BraTS 2021 and earlier name a case's files ``{case}_{flair,t1,t1ce,t2,seg}``, BraTS 2023 and later
``{case}-{t2f,t1n,t1c,t2w,seg}``, each ``.nii.gz`` or ``.nii``. Collections with the labels of 2021, and the
radiotherapy challenge of 2024, have other words for some of them. Modalities bear the names of 2021 here.
"""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmcggm.utils.counted import counted

from .nifti import CaseError, check_regular

MODALITIES = ('flair', 't1ce', 't1', 't2')
SHOWN = 10  # files that may be segmentations
LONGEST = 200  # bytes of an id, to which file systems that take 255 leave room for what is added
ENDING = re.compile(r'\.(nii(\.gz)?|mha|mhd|nrrd|mgz|hdr|img)$', re.IGNORECASE)  # of a volume's file
MACHINE_MADE = re.compile(r'_automated_approx$')  # UPENN-GBM has such segmentations, which nobody corrected
MAYBE_LABELS = re.compile(r'seg|label|mask|truth|(?<![a-z])gt(?![a-z])|annot|lesion|tumou?r', re.IGNORECASE)


@dataclass(frozen=True)
class Naming:
    """How one generation of BraTS names its files.

    Attributes:
        separator: What stands between a case's id and the word for a sequence.
        sequences: Sequence by word, in lower case, since upper case counts as well; of several words for one
            sequence the challenge's own comes first.
    """

    separator: str
    sequences: dict[str, str]

    def file_name(self, case: str, sequence: str) -> str:
        """Return the expected name of a case's file."""
        suffix = next(suffix for suffix, name in self.sequences.items() if name == sequence)
        return f'{case}{self.separator}{suffix}.nii.gz'

    def parse(self, file_name: str) -> tuple[str, str] | None:
        """Split a file's name into case and sequence; None if it is not named so."""
        pattern = rf'(.+){self.separator}({"|".join(self.sequences)})\.nii(?:\.gz)?'
        match = re.fullmatch(pattern, file_name, re.DOTALL | re.IGNORECASE)
        if match is None or MACHINE_MADE.search(match[1]):
            return None
        return match[1], self.sequences[match[2].lower()]


COLLECTIONS = dict(
    t1gd='t1ce',  # UPENN-GBM
    segm='seg',
    t1c='t1ce',  # UCSF-PDGM, and BraTS-MEN-RT
    tumor_segmentation='seg',
    gtv='seg',  # BraTS-MEN-RT
)
NAMINGS = {
    '2021': Naming('_', dict(flair='flair', t1ce='t1ce', t1='t1', t2='t2', seg='seg', **COLLECTIONS)),
    '2023': Naming('-', dict(t2f='flair', t1c='t1ce', t1n='t1', t2w='t2', seg='seg')),
}
EXPECTED = (
    'Expected one folder a case, and a file a sequence, named as BraTS 2021 ({case}_flair, _t1, _t1ce, _t2, '
    '_seg), as BraTS 2023 and later ({case}-t2f, -t1n, -t1c, -t2w, -seg), or as UPENN-GBM, UCSF-PDGM or '
    'BraTS-MEN-RT, each .nii.gz or .nii.'
)


def check_case_id(case: str) -> str:
    """Return ``case`` if it can name a file in a folder, and nothing elsewhere.

    Raises:
        CaseError: If it is empty, hidden, a path, or holds what a terminal or a file system cannot show.
    """
    if not case or case.startswith('.') or re.search(r'[/\\\0]', case) or not case.isprintable():
        raise CaseError(
            f'{printable(case)!r} cannot be the id of a case: it must be a plain, printable file name'
        )
    if len(os.fsencode(case)) > LONGEST:
        raise CaseError(f'its id is longer than {LONGEST} bytes, which file systems cannot take')
    return case


def printable(text: object) -> str:
    """Return ``text`` so that it can be shown, whatever the encoding of a file's name in it."""
    return str(text).encode('utf-8', 'backslashreplace').decode()


@dataclass(frozen=True)
class SourceCase:
    """A case whose four sequences are there, or those that it has where some may be missing.

    Attributes:
        case: Its id.
        naming: Key of :data:`NAMINGS`.
        files: Path by sequence, in the order of :data:`MODALITIES`; ``'seg'`` last, if there is one.
    """

    case: str
    naming: str
    files: dict[str, Path]

    @property
    def missing(self) -> tuple[str, ...]:
        """Sequences that the case lacks."""
        return tuple(modality for modality in MODALITIES if modality not in self.files)

    def fingerprint(self) -> list:
        """Return name, size in bytes and modification time in ns of each file.

        Raises:
            CaseError: If a file is gone or no regular file, or a link points nowhere.
        """
        result = []
        for path in self.files.values():
            check_regular(path)
            stat = path.stat()
            result.append([path.name, stat.st_size, stat.st_mtime_ns])
        return result


@dataclass
class Found:
    """What a source folder holds.

    Attributes:
        cases: Those with four sequences, or with some where others may be missing, in order of their ids.
        bad: What is wrong with each other case, and with each folder that cannot be read, by name.
        notes: Sentences on what was passed over.
        maybe_labels: Sentences on files that may be segmentations which cases lack.
    """

    cases: list[SourceCase] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    maybe_labels: list[str] = field(default_factory=list)


def find_cases(source: str | Path, allow_missing: bool = False, needed: Sequence[str] = MODALITIES) -> Found:
    """Find all cases below a folder.

    Args:
        source: Searched at any depth; links are followed unless they lead back up, and each folder is read
            once; hidden files and folders are left out.
        allow_missing: Whether a case may lack sequences, though not all.
        needed: Those of :data:`MODALITIES` that it may lack only then; it may always lack the others.

    Raises:
        FileNotFoundError: If there is no such folder, or no case in it.
    """
    source = Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f'{printable(source)} is not a folder. {EXPECTED}')
    result = Found()
    found: dict[str, list[tuple[str, str, Path]]] = defaultdict(list)
    unexplained: list[Path] = []
    for path in _nifti_files(source, result):
        for key, naming in NAMINGS.items():
            if parsed := naming.parse(path.name):
                case, sequence = parsed
                found[case].append((key, sequence, path))
                break
        else:
            unexplained.append(path)
    for case in [case for case, files in found.items() if all(_is_stray(case, *file) for file in files)]:
        unexplained += [path for _, _, path in found.pop(case)]
    if not found:
        unreadable = ''.join(f' {name}: {reason}.' for name, reason in result.bad.items())
        others = (
            f' It holds {counted(len(unexplained), "file")} of volumes, named otherwise, e.g. '
            f'{printable(min(unexplained))}.'
            if unexplained
            else ''
        )
        raise FileNotFoundError(f'{printable(source)} holds no case.{unreadable}{others} {EXPECTED}')

    for case in sorted(found):
        try:
            result.cases.append(_assemble(check_case_id(case), found[case], allow_missing, needed))
        except CaseError as error:
            result.bad[printable(case)] = str(error)
    _note_unexplained(result, sorted(unexplained))
    return result


def _is_stray(case: str, naming: str, sequence: str, path: Path) -> bool:
    """Return whether a file is a segmentation by the word of a collection: alone, it makes no case."""
    own = NAMINGS[naming].file_name(case, 'seg').removesuffix('.nii.gz')
    return sequence == 'seg' and not path.name.lower().startswith(f'{own}.nii'.lower())


def find_segmentations(source: str | Path) -> dict[str, list[Path]]:
    """Find all segmentations below a folder, of cases that may lack everything else.

    Args:
        source: Searched as by :func:`find_cases`.

    Returns:
        The files by case; several, where a case has several.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    source = Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f'{printable(source)} is not a folder. {EXPECTED}')
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(_nifti_files(source, Found())):
        for parsed in (naming.parse(path.name) for naming in NAMINGS.values()):
            if parsed and parsed[1] == 'seg':
                found[parsed[0]].append(path)
    return dict(found)


def _nifti_files(source: Path, result: Found) -> list[Path]:
    """Walk the folder; note links that lead back up, and count folders that cannot be read as bad."""

    def unreadable(error: OSError) -> None:
        name = os.path.relpath(error.filename, source)
        result.bad[printable(name)] = f'the folder cannot be read: {error.strerror}; its cases are unknown'

    files, seen = [], {os.path.realpath(source)}
    for folder, subfolders, names in os.walk(source, onerror=unreadable, followlinks=True):
        entered = []
        for name in sorted(subfolders):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if os.path.islink(path) and os.path.join(os.path.realpath(folder), '').startswith(
                os.path.join(real, '')
            ):
                result.notes.append(f'The link {printable(path)} leads back up and is not followed.')
                continue
            if name.startswith('.') or real in seen:
                continue
            seen.add(real)
            entered.append(name)
        subfolders[:] = entered
        files += [
            Path(folder, name) for name in sorted(names) if not name.startswith('.') and ENDING.search(name)
        ]
    return files


def _note_unexplained(result: Found, unexplained: list[Path]) -> None:
    """Say which files are left out, and which of them may be a segmentation that a case lacks."""
    if unexplained:
        result.notes.append(
            f'Left out {len(unexplained)} files of volumes that neither naming explains, or that are no '
            f'NIfTI files, e.g. {printable(unexplained[0])}.'
        )
    unlabelled = {case.case: case for case in result.cases if 'seg' not in case.files}
    if unlabelled:
        result.notes.append(
            f'{len(unlabelled)} of {len(result.cases)} cases have no segmentation, e.g. {min(unlabelled)}.'
        )
    folders = defaultdict(set)
    for case in result.cases:
        for file in case.files.values():
            folders[file.parent].add(case.case)
    maybe = []
    for path in unexplained:
        stem = ENDING.sub('', path.name)
        owner = max((case for case in unlabelled if stem.startswith(case)), key=len, default=None)
        if owner is None and len(folders[path.parent]) == 1:  # named otherwise, in the folder of a case
            owner = next((case for case in folders[path.parent] if case in unlabelled), None)
        if owner is None:
            continue
        rest = stem.removeprefix(owner)
        if not rest or (MAYBE_LABELS.search(rest) and 'brain' not in rest.lower()):
            expected = NAMINGS[unlabelled[owner].naming].file_name(owner, 'seg')
            maybe.append(
                f'WARNING {owner} has no segmentation, but {printable(path)} may be one: if it is, name it '
                f'{expected} and convert again.'
            )
    result.maybe_labels += maybe[:SHOWN]
    if len(maybe) > SHOWN:
        result.maybe_labels.append(f'WARNING The same holds for {len(maybe) - SHOWN} files more.')


def _assemble(
    case: str, found: list[tuple[str, str, Path]], allow_missing: bool, needed: Sequence[str]
) -> SourceCase:
    namings = {naming for naming, _, _ in found}
    if len(namings) > 1:
        folders = sorted({printable(path.parent) for _, _, path in found})
        raise CaseError(f'occurs in both namings, in {", ".join(folders)}; keep one of them')
    naming = namings.pop()
    files: dict[str, Path] = {}
    for _, sequence, path in sorted(found, key=lambda item: item[2]):
        if sequence in files:
            first, second = map(printable, (files[sequence], path))
            raise CaseError(f'has {sequence} twice: {first} and {second}; keep one of them')
        files[sequence] = path
    missing = [NAMINGS[naming].file_name(case, modality) for modality in needed if modality not in files]
    if len(missing) == len(needed):
        raise CaseError(f'lacks {", ".join(missing)}')
    if missing and not allow_missing:
        raise CaseError(f'lacks {", ".join(missing)} (`--allow-missing` takes it all the same)')
    return SourceCase(case, naming, {name: files[name] for name in (*MODALITIES, 'seg') if name in files})
