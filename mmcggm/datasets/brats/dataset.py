"""Brain tumour segmentation from several MRI sequences: the BraTS challenges' data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmcggm.registry import DATASETS
from mmcggm.utils.sizes import is_count

from .cases import MODALITIES
from .label_conventions import TUMOUR
from .splits import KEYS, SPLITS, UNLABELLED, read_splits
from .volume_store import StoredCase, case_path

SAMPLES = ('random_tumour_slice', 'tumour_slices', 'all_slices', 'volume', 'patch')


@DATASETS.register_module()
class BraTSDataset(BaseDataset):
    """Slices, volumes or 3D patches of BraTS cases, from the store that ``mmcggm convert brats`` writes.

    An item names a case and, of slices, a slice; the pipeline starts with ``LoadBraTSSlice``,
    ``LoadBraTSVolume`` or ``LoadBraTSPatch``, which read it. ``classes``, ``palette`` and ``regions`` of the
    METAINFO are those of the labels that the store was converted with.

    Args:
        data_root: The store.
        split: ``'train'``, ``'val'``, ``'test'`` or ``'unlabelled'`` as in the store's ``splits.json``,
            a list of these, or ``'all'`` (``'unlabelled'`` only if the sample needs no segmentation).
        modalities: The sequences to read, in this order: ``'flair'``, ``'t1ce'``, ``'t1'``, ``'t2'``. A case
            may lack some of them, though not all, where the converter was told to take such cases.
        sample: What an item is. ``'random_tumour_slice'``: one item a case, a random slice with
            tumour each time it is read (the protocol of CGGM, https://arxiv.org/abs/2411.01409).
            ``'tumour_slices'``: one item a slice with tumour. ``'all_slices'``: one item a slice.
            ``'volume'``: one item a case, the whole volume. ``'patch'``: ``patches`` items a case, each of
            which ``LoadBraTSPatch`` draws anew each time it is read. The two with tumour need segmentations,
            and leave out cases that have no tumour; patches need segmentations.
        background: With ``'tumour_slices'``, how many slices without tumour a case adds, as a share of its
            slices with tumour: evenly spread, so that a network learns where there is none.
        patches: With ``'patch'``, how many patches of each case make an epoch.
        pipeline: Transforms.
        splits_file: A file to take instead of the store's ``splits.json``, such as that of a fold.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Attributes:
        cases (dict[str, bool]): Of each case of its splits, by id, whether it has a segmentation.

    Raises:
        FileNotFoundError: If the store, its ``splits.json`` or a case in it is missing.
        ValueError: If an argument or ``splits.json`` does not fit the store.
    """

    METAINFO = TUMOUR.metainfo

    def __init__(
        self,
        data_root: str,
        split: str | Sequence[str] = 'train',
        modalities: Sequence[str] = ('flair', 't1ce', 't1', 't2'),
        sample: str = 'random_tumour_slice',
        background: float = 0.0,
        patches: int = 1,
        pipeline: Sequence = (),
        splits_file: str | None = None,
        **kwargs,
    ) -> None:
        if split == 'all':
            split = KEYS if sample in ('all_slices', 'volume') else SPLITS
        self.splits = (split,) if isinstance(split, str) else tuple(split)
        unknown = [name for name in self.splits if name not in KEYS]
        if unknown:
            raise ValueError(f"`split` holds {unknown}; there are {list(KEYS)} and 'all'.")
        if sample not in SAMPLES:
            raise ValueError(f"`sample` is '{sample}'; it must be one of {list(SAMPLES)}.")
        if not modalities or len(set(modalities)) != len(modalities):
            raise ValueError(
                f'`modalities` must name at least one sequence, each once: got {list(modalities)}.'
            )
        if background < 0 or (background and sample != 'tumour_slices'):
            raise ValueError(
                f'`background` is {background}; it must not be negative, and needs '
                f"sample='tumour_slices', not '{sample}'."
            )
        if not is_count(patches) or (patches != 1 and sample != 'patch'):
            raise ValueError(
                f'`patches` is {patches}; it must be an integer of at least 1, and needs '
                f"sample='patch', not '{sample}'."
            )
        self.modalities = tuple(modalities)
        self.splits_file = splits_file
        self.patches = patches
        self.background = background
        self.sample = sample
        self.own_metainfo = frozenset(kwargs.get('metainfo') or ())
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return an item a case or a slice, see ``sample``."""
        root = Path(self.data_root)
        if not (root / 'cases').is_dir():
            raise FileNotFoundError(
                f"No BraTS data in '{root}': download the training data of RSNA-ASNR-MICCAI BraTS 2021 "
                '(https://www.synapse.org/Synapse:syn25829067) to data/BraTS2021 and run '
                f'`mmcggm convert brats data/BraTS2021 --out {root}`, or run '
                '`make demo`, which needs no data.'
            )
        path = self._splits_path
        splits = read_splits(path)
        cases = [(self._open(case, split), split) for split in self.splits for case in splits[split]]
        self.cases = {stored.case: stored.has_seg for stored, _ in cases}
        self._follow_labels([stored for stored, _ in cases])
        self._report_missing([stored for stored, _ in cases])
        items = [item for stored, split in cases for item in self._items(stored, split)]
        if not items:
            raise ValueError(
                f"{path} leaves no '{self.sample}' item in {list(self.splits)}; "
                'move cases there, or choose another `split`.'
            )
        return items

    def prepare_data(self, idx: int) -> dict | None:
        """Draw the slice if the sample is random (NumPy's global state, as mmcv draws), run the pipeline."""
        item = self.get_data_info(idx)
        if self.sample == 'random_tumour_slice':
            item['slice_index'] = int(np.random.choice(item.pop('tumour_slices')))  # noqa: NPY002
        return self.pipeline(item)

    @property
    def _splits_path(self) -> Path:
        return Path(self.splits_file or Path(self.data_root, 'splits.json'))

    def _follow_labels(self, cases: Sequence[StoredCase]) -> None:
        """Let classes, palette and regions be those of the store, where the config does not give its own."""
        first, *others = cases or [None]
        for other in others:
            if other.convention.scheme != first.convention.scheme:
                raise ValueError(
                    f"{self.data_root} mixes labels: case '{first.case}' has those of "
                    f'{first.convention.name}, '
                    f"'{other.case}' those of {other.convention.name}. Convert them into two stores."
                )
        if first is not None:
            learned = first.convention.scheme.metainfo
            self._metainfo.update(
                {key: value for key, value in learned.items() if key not in self.own_metainfo}
            )

    def _items(self, stored: StoredCase, split: str) -> list[dict]:
        case = stored.case
        item = dict(
            case=case,
            case_path=str(stored.path),
            ori_shape=stored.shape,
            spacing=stored.spacing,
            modalities=self.modalities,
        )
        if self.sample == 'volume':
            return [item]
        if self.sample == 'all_slices':
            return [dict(item, slice_index=z) for z in range(stored.shape[0])]
        if not stored.has_seg:
            raise ValueError(
                f"{self._splits_path} names case '{case}' in '{split}', but it has no segmentation, "
                f"which sample='{self.sample}' needs. "
                + ('Choose' if split == UNLABELLED else f"Move it to '{UNLABELLED}', or choose")
                + ' another `split`.'
            )
        if self.sample == 'patch':
            return [dict(item) for _ in range(self.patches)]
        if not len(stored.tumour_slices):
            print_log(f"Case '{case}' has no tumour; it is left out.", 'current', logging.WARNING)
            return []
        if self.sample == 'tumour_slices':
            slices = [*stored.tumour_slices, *self._background(stored)]
            return [dict(item, slice_index=int(z)) for z in sorted(slices)]
        return [dict(item, tumour_slices=stored.tumour_slices)]

    def _background(self, stored: StoredCase) -> np.ndarray:
        """Return slices without tumour, evenly spread over those that there are."""
        without = np.setdiff1d(np.arange(stored.shape[0]), stored.tumour_slices)
        count = min(round(self.background * len(stored.tumour_slices)), len(without))
        return without[(np.arange(count) * len(without) + len(without) // 2) // max(count, 1)]

    def _open(self, case: str, split: str) -> StoredCase:
        try:
            stored = StoredCase(case_path(self.data_root, case))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self._splits_path} names case '{case}' in '{split}', but the store does not hold "
                'it. Convert it, or take it out of that file.'
            ) from error
        unknown = [name for name in self.modalities if name not in (*stored.modalities, *MODALITIES)]
        if unknown or not any(stored.holds(self.modalities).values()):
            raise ValueError(
                f"`modalities` in the config names {unknown or list(self.modalities)}, of which '{case}' "
                f'in {self.data_root} has none; it has {list(stored.modalities)}.'
                + ('' if unknown else ' Name others, or take the case out of splits.json.')
            )
        return stored

    def _report_missing(self, cases: Sequence[StoredCase]) -> None:
        """Say how many cases lack which sequences."""
        lacking = [[m for m, there in stored.holds(self.modalities).items() if not there] for stored in cases]
        counts = [(m, sum(m in own for own in lacking)) for m in self.modalities]
        nowhere = [modality for modality, count in counts if count == len(cases)]
        advice = (
            f' None has {", ".join(nowhere)}, so nothing is learned of it here: unless the network knows it '
            "from elsewhere, leave it out of `modalities` and of the model's encoders."
        )
        if any(lacking):
            print_log(
                f'{sum(map(bool, lacking))} of {len(cases)} cases in {self.data_root} lack sequences ('
                + ', '.join(f'{modality}: {count}' for modality, count in counts if count)
                + '), which are absent in training and prediction.'
                + (advice if nowhere else ''),
                'current',
                logging.WARNING,
            )
