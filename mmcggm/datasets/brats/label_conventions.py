"""What the numbers in a segmentation mean: the label conventions of the BraTS challenges.

A convention is chosen once for a whole set, by name or by what all of its files hold, never by what one file
happens to hold: 4 is the enhancing tumour of 2021, the resection cavity of 2024 and the edema of children.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LABEL_TOLERANCE = 1e-3  # resampling and conversion leave integers that are nearly ones
PALETTE = ((0, 0, 0), (255, 80, 60), (80, 200, 120), (255, 215, 70), (90, 150, 255))


@dataclass(frozen=True)
class Scheme:
    """What a network learns: classes in the order of the training labels, and regions made of them.

    Attributes:
        classes: Name of each training label, the background first.
        short: What the challenge calls them in short, the background left out.
        regions: Training labels of each region by name.
        scorer: Config of the challenge's scorer whose labels and regions these are.
    """

    classes: tuple[str, ...]
    short: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]
    scorer: str

    @property
    def metainfo(self) -> dict:
        """METAINFO of a data set: ``classes``, ``palette`` and ``regions``."""
        palette = [list(colour) for colour in PALETTE[: len(self.classes)]]
        return dict(classes=self.classes, palette=palette, regions=dict(self.regions))


TUMOUR = Scheme(
    ('background', 'necrotic core', 'edema', 'enhancing tumour'),
    ('NCR', 'ED', 'ET'),
    dict(WT=(1, 2, 3), TC=(1, 3), ET=(3,)),
    scorer='gli',
)
TREATED = Scheme(
    ('background', 'non-enhancing core', 'FLAIR hyperintensity', 'enhancing tumour', 'resection cavity'),
    ('NETC', 'SNFH', 'ET', 'RC'),
    dict(WT=(1, 2, 3), TC=(1, 3), ET=(3,), RC=(4,)),
    scorer='gli',
)
PAEDIATRIC_2023 = Scheme(
    ('background', 'non-enhancing component', 'edema', 'enhancing tumour'),
    ('NC', 'ED', 'ET'),
    dict(WT=(1, 2, 3), TC=(1, 3), ET=(3,)),
    scorer='gli',
)
PAEDIATRIC = Scheme(
    ('background', 'enhancing tumour', 'non-enhancing tumour', 'cystic component', 'edema'),
    ('ET', 'NET', 'CC', 'ED'),
    dict(WT=(1, 2, 3, 4), TC=(1, 2, 3), ET=(1,), NETC=(2,), CC=(3,), ED=(4,)),
    scorer='ped',
)
RADIOTHERAPY = Scheme(('background', 'gross tumour volume'), ('GTV',), dict(GTV=(1,)), scorer='MenRT')


@dataclass(frozen=True)
class LabelConvention:
    """How one challenge writes its segmentations.

    Attributes:
        name: Of the convention, for options and messages.
        challenge: Whose it is.
        scheme: What is learned from it.
        on_disk: The number on disk of each training label, the background's first.
        meanings: What the challenge calls each of them, the background left out.
    """

    name: str
    challenge: str
    scheme: Scheme
    on_disk: tuple[int, ...]
    meanings: tuple[str, ...]

    def to_training(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Map labels on disk to training labels.

        Args:
            labels: uint8, any shape.
            name: Of the file, for the error.

        Raises:
            ValueError: If a label has no meaning in this convention.
        """
        unknown = sorted(set(present_labels(labels)) - set(self.on_disk))
        if unknown:
            raise ValueError(
                f'{name} holds labels {unknown[:5]}; those of {self.name} are {list(self.on_disk)}'
            )
        table = np.zeros(256, dtype=np.uint8)
        table[list(self.on_disk)] = np.arange(len(self.on_disk))
        return table[labels]

    def to_disk(self, labels: np.ndarray) -> np.ndarray:
        """Map training labels to labels on disk, uint8.

        Raises:
            ValueError: If they are not training labels of this convention.
        """
        known = np.arange(len(self.on_disk))
        if not np.isin(labels, known).all():
            raise ValueError(
                f'labels must be {", ".join(map(str, known))} ({self.name}), got '
                f'{np.unique(labels)[:6].tolist()}'
            )
        return np.array(self.on_disk, dtype=np.uint8)[labels.astype(np.intp)]

    def describe(self) -> str:
        """Say in a line what each label on disk means, and which regions follow."""
        labels = ', '.join(
            f'{label} {meaning}' for label, meaning in zip(self.on_disk[1:], self.meanings, strict=True)
        )
        regions = ', '.join(
            f'{region} = {"+".join(str(self.on_disk[label]) for label in members)}'
            for region, members in self.scheme.regions.items()
        )
        return f'{self.name} ({self.challenge}): {labels}; {regions}'


_NCR = ('necrotic core', 'edema', 'enhancing tumour')
_NETC = ('non-enhancing tumour core', 'surrounding FLAIR hyperintensity', 'enhancing tumour')
_CAVITY = (*_NETC, 'resection cavity')
CONVENTIONS = {
    convention.name: convention
    for convention in (
        LabelConvention('gli2021', 'gliomas, BraTS 2017 to 2021', TUMOUR, (0, 1, 2, 4), _NCR),
        LabelConvention('gli2023', 'gliomas, BraTS 2023', TUMOUR, (0, 1, 2, 3), _NCR),
        LabelConvention('ssa2023', 'gliomas in Africa, BraTS 2023 and later', TUMOUR, (0, 1, 2, 3), _NCR),
        LabelConvention('men2023', 'meningioma, BraTS 2023', TUMOUR, (0, 1, 2, 3), _NETC),
        LabelConvention('met2023', 'metastases, BraTS 2023 and 2024', TUMOUR, (0, 1, 2, 3), _NETC),
        LabelConvention(
            'gli2024', 'treated gliomas, BraTS 2024 and later', TREATED, (0, 1, 2, 3, 4), _CAVITY
        ),
        LabelConvention('met2025', 'metastases, BraTS 2025', TREATED, (0, 1, 2, 3, 4), _CAVITY),
        LabelConvention(
            'ped2023', 'children, BraTS 2023', PAEDIATRIC_2023, (0, 1, 2, 3), PAEDIATRIC_2023.classes[1:]
        ),
        LabelConvention(
            'ped2024',
            'children, BraTS 2024 and later',
            PAEDIATRIC,
            (0, 1, 2, 3, 4),
            PAEDIATRIC.classes[1:],
        ),
        LabelConvention(
            'menrt2024', 'meningioma before radiotherapy', RADIOTHERAPY, (0, 1), RADIOTHERAPY.classes[1:]
        ),
    )
}
ALIASES = {'2021': 'gli2021', '2023': 'gli2023'}  # the names that --out-labels had first
DEFAULTS = {'2021': CONVENTIONS['gli2021'], '2023': CONVENTIONS['gli2023']}  # by naming of the files
COLLECTIONS = {
    'BraTS-SSA-': 'ssa2023',
    'BraTS-MEN-': 'men2023',
    'BraTS-MET-': 'met2023',
}


def get_convention(name: str) -> LabelConvention:
    """Return the convention called ``name``.

    Raises:
        ValueError: If there is none.
    """
    name = ALIASES.get(name, name)
    if name not in CONVENTIONS:
        raise ValueError(f"There is no label convention '{name}'; choose one of {', '.join(CONVENTIONS)}.")
    return CONVENTIONS[name]


def present_labels(labels: np.ndarray) -> list[int]:
    """Return the labels that a uint8 array holds, in order."""
    tumour = labels[labels != 0]  # little of a volume, so that counting is quick
    background = [0] if tumour.size < labels.size else []
    return background + np.flatnonzero(np.bincount(tumour)).tolist()


def as_labels(array: np.ndarray, name: str, tolerance: float = LABEL_TOLERANCE) -> np.ndarray:
    """Return a segmentation's values as uint8; values next to an integer are that integer.

    Args:
        array: Finite real numbers.
        name: Of the file, for the error.
        tolerance: How far from an integer they may be.

    Raises:
        ValueError: If a value is not an integer from 0 to 255.
    """
    if array.dtype == np.uint8:
        return array
    whole = array if array.dtype.kind in 'iu' else np.rint(array)
    if whole.size and (whole.min() < 0 or whole.max() > 255 or abs(array - whole).max() > tolerance):
        strange = array[(whole < 0) | (whole > 255) | (abs(array - whole) > tolerance)]
        raise ValueError(
            f'{name} holds labels {np.unique(strange)[:5].tolist()}; a label is an integer from 0 to 255'
        )
    return whole.astype(np.uint8)


def choose_convention(naming: str, labels_of: Mapping[str, Sequence[int]]) -> LabelConvention:
    """Tell a set's convention from what all of its files hold and how its cases are called.

    Args:
        naming: ``'2021'`` or ``'2023'``: how the files are named.
        labels_of: Labels on disk by case.

    Raises:
        ValueError: If they leave it open, or contradict each other. The message names the files that
            show it, and the choices.
    """
    holder = {label: case for case, labels in sorted(labels_of.items()) for label in labels}
    children = next((case for case in sorted(labels_of) if case.startswith('BraTS-PED')), None)
    if children:
        raise ValueError(
            f'Case {children} is a child by its name; 1, 2 and 3 mean one thing in 2023 and another since '
            f'2024. {_choices("ped2023", "ped2024")}'
        )
    radiotherapy = [case for case in sorted(labels_of) if case.startswith('BraTS-MEN-RT')]
    if {label for case in radiotherapy for label in labels_of[case]} - {0} == {1}:
        raise ValueError(
            f'{radiotherapy[0]} is planned for radiotherapy by its name, and such cases hold 0 and 1 alone: '
            f'1 may be the gross tumour volume or a non-enhancing core. {_choices("menrt2024", "men2023")}'
        )
    if 4 not in holder and (naming == '2023' or 3 in holder):
        names = {
            next((COLLECTIONS[start] for start in COLLECTIONS if case.startswith(start)), 'gli2023')
            for case in labels_of
        }
        return CONVENTIONS[names.pop() if len(names) == 1 else 'gli2023']
    if naming == '2023':
        raise ValueError(
            f'{holder[4]} holds label 4, which the challenges since 2023 use for a resection cavity or a '
            f"child's edema, and 2021 for enhancing tumour. "
            f'{_choices("gli2024", "met2025", "ped2024", "gli2021")}'
        )
    if 3 in holder:
        raise ValueError(
            f'{holder[3]} holds label 3 and {holder[4]} label 4: in 2021 4 is the enhancing tumour and there '
            f'is no 3, since 2023 it is 3. {_choices("gli2021", "gli2024", "ped2024")}\n'
            'A case with a label that the convention lacks is then bad.'
        )
    return CONVENTIONS['gli2021']


def _choices(*names: str) -> str:
    lines = ''.join(f'\n  {CONVENTIONS[name].describe()}' for name in names)
    return f'Say what the labels of this set are with --labels, for example{lines}'
