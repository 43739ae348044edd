"""A look at all cases before any is converted: which are there already, and what labels the set holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .case_volumes import read_labels
from .cases import SourceCase
from .label_conventions import LabelConvention, choose_convention, get_convention, present_labels
from .nifti import CaseError
from .volume_store import StoredCase, case_path


@dataclass(frozen=True)
class Seen:
    """What is known of a case before it is converted.

    Attributes:
        labels: Labels on disk that its segmentation holds; none without one.
        stored: Convention of what the store holds of this case, if it does.
        current: Whether that was made from the same files.
        reason: What is wrong with the case, if something is.
    """

    labels: tuple[int, ...] = ()
    stored: str | None = None
    current: bool = False
    reason: str = ''


def see_case(case: SourceCase, store: Path) -> Seen:
    """Look at one case. A segmentation is read only if the store does not tell what it holds."""
    stored = None
    try:
        kept = StoredCase(case_path(store, case.case))
        stored = kept.convention.name
        if kept.source == case.fingerprint():
            labels = tuple(kept.convention.on_disk[label] for label in kept.present)
            return Seen(labels, stored, current=True)
    except CaseError as error:
        return Seen(stored=stored, reason=str(error))
    except (OSError, ValueError):  # not there, of an older version or damaged: it is converted again
        stored = None
    return see_labels(case, stored)


def see_labels(case: SourceCase, stored: str | None = None) -> Seen:
    """Look at the labels of one case's segmentation, if it has one."""
    try:
        labels = tuple(present_labels(read_labels(case.files['seg']))) if 'seg' in case.files else ()
        return Seen(labels, stored)
    except CaseError as error:
        return Seen(stored=stored, reason=str(error))
    except MemoryError:
        return Seen(stored=stored, reason='its segmentation needs more memory than there is')


def decide(
    cases: Sequence[SourceCase],
    seen: Mapping[str, Seen],
    stored: Sequence[LabelConvention],
    chosen: str | None,
) -> dict[str, LabelConvention]:
    """Decide once for all cases what their labels mean.

    The user's choice counts, else what the store's cases of this naming were converted with, else the
    evidence of all files, see :func:`choose_convention`.

    Args:
        cases: Of the source.
        seen: What is known of each.
        stored: Conventions of the cases in the store, also of those of other sources.
        chosen: Name of the convention that the user chose.

    Returns:
        The convention by naming.

    Raises:
        ValueError: If the evidence leaves it open, or the store was converted with another convention.
    """
    result = {}
    for naming in sorted({case.naming for case in cases}):
        members = [case.case for case in cases if case.naming == naming]
        before = {seen[case].stored for case in members} - {None}
        if chosen is not None:
            convention = get_convention(chosen)
        elif len(before) == 1:
            convention = get_convention(before.pop())
        else:
            # A value that no challenge uses is one case's fault, and no evidence.
            labels_of = {case: [label for label in seen[case].labels if label <= 4] for case in members}
            convention = choose_convention(naming, labels_of)
        others = before | {kept.name for kept in stored if kept.scheme != convention.scheme}
        if others - {convention.name}:
            raise ValueError(
                f'The store was converted with the labels of {", ".join(sorted(others))}, these cases have '
                f'those of {convention.name}: convert them into another store.'
            )
        result[naming] = convention
    for naming, convention in result.items():
        if chosen is None:
            _check_masks([case.case for case in cases if case.naming == naming], seen, convention)
    first, *others = result.values() or [None]
    if any(other.scheme != first.scheme for other in others):
        names = ' and '.join(convention.name for convention in result.values())
        raise ValueError(
            f'The cases have different classes, of {names}: convert them from two folders into two stores, '
            'or say with --labels what holds for all.'
        )
    return result


def missing_labels(
    cases: Sequence[SourceCase], seen: Mapping[str, Seen], conventions: Mapping[str, LabelConvention]
) -> list[str]:
    """Return a sentence on each label that a convention has, but no segmentation of the set."""
    sentences = []
    for naming, convention in conventions.items():
        held = [seen[case.case].labels for case in cases if case.naming == naming and 'seg' in case.files]
        present = {label for labels in held for label in labels}
        absent = [
            f'{label} ({meaning})'
            for label, meaning in zip(convention.on_disk[1:], convention.meanings, strict=True)
            if label not in present
        ]
        if held and absent:
            sentences.append(f'None of {len(held)} segmentations holds {" or ".join(absent)}.')
    return sentences


def _check_masks(cases: Sequence[str], seen: Mapping[str, Seen], convention: LabelConvention) -> None:
    """Raise a ValueError if no case holds another label than 1, where there are several kinds of tissue."""
    held = {case: set(seen[case].labels) - {0} for case in cases}
    labelled = [case for case in sorted(held) if held[case]]
    if labelled and len(convention.on_disk) > 2 and all(held[case] == {1} for case in labelled):
        raise ValueError(
            f'All segmentations hold 1 alone, e.g. that of {labelled[0]}: they may be masks of the whole '
            f'tumour, where 1 would be the {convention.meanings[0]}. If it is, say so with --labels '
            f'{convention.name}.'
        )
