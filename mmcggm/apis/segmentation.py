"""Segment brain tumours in NIfTI files or arrays, with a trained model and without a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from tqdm import tqdm

from mmcggm.datasets.brats.background import FULL
from mmcggm.datasets.brats.case_volumes import OTHER_SIZE, has_usual_size, join_volumes, read_case
from mmcggm.datasets.brats.cases import MODALITIES, Found, SourceCase, check_case_id, find_cases
from mmcggm.datasets.brats.label_conventions import (
    CONVENTIONS,
    LabelConvention,
    Scheme,
    get_convention,
)
from mmcggm.datasets.brats.nifti import CaseError, volume_of_array
from mmcggm.datasets.brats.prepared_case import CaseInMemory
from mmcggm.datasets.brats.survey import Seen, decide, see_labels
from mmcggm.evaluation.brats.tumour_count import NOT_FINITE
from mmcggm.guided import GuidedModel
from mmcggm.guided.ensemble import set_ensemble
from mmcggm.models.outputs import Outputs
from mmcggm.registry import TRANSFORMS
from mmcggm.utils.ahead import ahead
from mmcggm.visualization.figures import save_figure
from mmcggm.visualization.slices import draw_cases

from .inference_model import in_scope, init_model, tested_data

Arrays = Mapping[str, Any]  # an array (X, Y, Z) a sequence, and `affine`
Input = str | Path | Arrays
DATASETS = ('BraTSDataset', 'mmcggm.BraTSDataset')


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The segmentation of one case.

    Attributes:
        prepared: The case, as the network got it.
        training_labels: uint8 (D, H, W) = (Z, X, Y) in the orientation LPS, in the order of the classes.
        training_probabilities: float32 (K, D, H, W), where they were asked for, of the model's classes or
            regions.
        convention: The convention by which labels are numbered in the file.
        notes: Remarks on the case, in sentences.
    """

    prepared: CaseInMemory
    training_labels: np.ndarray
    training_probabilities: np.ndarray | None
    convention: LabelConvention
    notes: tuple[str, ...] = ()

    @property
    def case(self) -> str:
        """The case's id."""
        return self.prepared.case

    @property
    def labels(self) -> np.ndarray:
        """The labels as in the file, (X, Y, Z): in the orientation and with the numbers of the source."""
        return self.prepared.on_disk(self.training_labels, self.convention.name)

    @property
    def probabilities(self) -> np.ndarray | None:
        """Probabilities (K, X, Y, Z) of each class or region, in the orientation of the source; or None."""
        if self.training_probabilities is None:
            return None
        return np.stack([self.prepared.in_source(volume) for volume in self.training_probabilities])

    @property
    def affine(self) -> np.ndarray:
        """The matrix (4, 4) from voxels of ``labels`` to mm."""
        return self.prepared.header.get_best_affine()

    @property
    def volumes(self) -> dict[str, float]:
        """Volume in ml of each region, such as WT, TC and ET."""
        return region_volumes(self.training_labels, self.affine, self.convention.scheme)

    def save(self, folder: str | Path, overlay: bool = True) -> Path:
        """Write ``{case}.nii.gz``, and ``probabilities/{case}.nii.gz`` and ``overlays/{case}.png``.

        Args:
            folder: Made if absent.
            overlay: Whether to draw the picture. Where the source has a segmentation, it is drawn beside the
                prediction, which needs the extra ``brats``.

        Returns:
            The path of the segmentation. Each file is written whole or not at all.

        Raises:
            OSError: If a file can't be written.
        """
        folder = Path(folder)
        if self.training_probabilities is not None:
            (folder / 'probabilities').mkdir(parents=True, exist_ok=True)
            self.prepared.write_probabilities(
                self.training_probabilities, folder / 'probabilities' / f'{self.case}.nii.gz'
            )
        if overlay:
            figure = draw_cases([(self.prepared, self.training_labels)])
            save_figure(figure, folder / 'overlays' / f'{self.case}.png')
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f'{self.case}.nii.gz'
        self.prepared.write_nifti(self.training_labels, path, self.convention.name)
        return path


@dataclass(frozen=True, eq=False)
class ReadCase:
    """A case that was read and waits for the model.

    Attributes:
        prepared: The case.
        batch: What the model gets.
        notes: What is worth knowing of it.
    """

    prepared: CaseInMemory
    batch: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Job:
    """A case that is to be segmented.

    Attributes:
        case: Its id.
        source: Its files, or its arrays.
        convention: What its labels mean.
    """

    case: str
    source: SourceCase | Arrays
    convention: LabelConvention


class SegmentationInferencer:
    """Segments cases in files or arrays.

    The network gets the same values as from the store of a converted case, to the last bit, and gives the
    same segmentation.

    Args:
        config: Path of the config, or the config itself. None: the config that the checkpoint keeps.
        checkpoint: Path of the checkpoint, or paths of several checkpoints of one network. These are an
            ensemble: their probabilities are averaged.
        device: Such as ``'cuda:0'`` or ``'cpu'``. Default: an accelerator if there is one.
        labels: Name of the label convention of the cases, see
            :mod:`mmcggm.datasets.brats.label_conventions`. Default: found from all segmentations in the
            source; without any, from the names of the files and the classes of the model.
        out_labels: Name of the convention in which segmentations are written. Default: as the cases.
        allow_missing: Whether a case may lack sequences that the model takes. In a
            :class:`~mmcggm.guided.GuidedModel` a missing sequence is zero where it enters fusion,
            as in training. Other models get an input of 0 everywhere, which is both the mean of the
            brain and the background.
        batch_size: How many slices, or patches of a volume, go through the network at once. Default: as the
            config says.
        options: Overrides of the config's settings.
        trust: Whether a checkpoint may hold more than data, and so run any code.

    Attributes:
        model: The model.
        modalities (tuple[str, ...]): The sequences that it takes.

    Raises:
        ValueError: If the config is not of a model that segments BraTS cases, or a setting is wrong.

    Example:
        >>> inferencer = SegmentationInferencer('configs/cggm/brats_unet.py', 'epoch_75.pth')
        >>> for segmentation in inferencer.each('patients'):
        >>>     print(segmentation.case, segmentation.volumes)
        >>>     segmentation.save('results')
    """

    def __init__(
        self,
        config: str | Path | Config | None,
        checkpoint: str | Path | Sequence[str | Path] | None,
        device: str | None = None,
        *,
        labels: str | None = None,
        out_labels: str | None = None,
        allow_missing: bool = False,
        batch_size: int | None = None,
        options: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> None:
        self.labels = labels and get_convention(labels).name
        self.out_labels = out_labels and get_convention(out_labels)
        self.allow_missing = allow_missing
        several = [] if checkpoint is None or isinstance(checkpoint, (str, Path)) else list(checkpoint)
        first = several[0] if several else checkpoint
        self.model = init_model(config, first, device, options, trust)
        if len(several) > 1:
            set_ensemble(self.model, several, trust)
        data = tested_data(self.model.cfg)
        if data.get('type') not in DATASETS or data.get('sample') != 'volume':
            raise ValueError(
                "`test_dataloader.dataset` of the config must be a BraTSDataset with sample='volume', got "
                f'{data.get("type")}: only models of BraTS segment volumes.'
            )
        self.modalities = tuple(data.get('modalities') or MODALITIES)
        unknown = [modality for modality in self.modalities if modality not in MODALITIES]
        if unknown:
            raise ValueError(
                f'`test_dataloader.dataset.modalities` names {unknown}; cases in files have '
                f'{list(MODALITIES)}.'
            )
        with in_scope(self.model.cfg):
            self._pipeline = Compose([TRANSFORMS.build(step) for step in data['pipeline']])
        if allow_missing and isinstance(self.model, GuidedModel):
            self.model.present = 'data_samples.present'  # also where the training's config did not ask for it
        self._segmentor = getattr(self.model, 'model', self.model)  # of a guided model, or itself
        self._schemes = fitting_schemes(self._segmentor.outputs, self.model.dataset_meta.get('classes'))
        for step in self._segmentor.post_processing:
            self._schemes = [scheme for scheme in self._schemes if step.region_map.fits(scheme)]
            if not self._schemes:
                raise ValueError(
                    f'`test_cfg.post_processing`: {type(step).__name__} is of the regions '
                    f'{step.region_map.describe()}, which the data of the model have not: correct `labels`.'
                )
        if batch_size is not None:
            self._segmentor.test_cfg[self._segmentor.per_pass] = batch_size

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return next(self.model.parameters()).device

    def __call__(
        self, inputs: Input | Sequence[Input], probabilities: bool = False, progress: bool = True
    ) -> list[Segmentation]:
        """Segment all cases and keep the results in memory; :meth:`each` keeps one at a time."""
        return list(self.each(inputs, probabilities, progress))

    def each(
        self, inputs: Input | Sequence[Input], probabilities: bool = False, progress: bool = True
    ) -> Iterator[Segmentation]:
        """Segment one case after another.

        Args:
            inputs: A folder of a case or of cases, as the converter reads them; or a dict of an array (X, Y,
                Z) a sequence, ``affine`` (4, 4) from voxels to mm, and perhaps ``case``, its id; or a list of
                these.
            probabilities: Whether to keep the probabilities of the classes or regions.
            progress: Whether to show how far it is.

        Yields:
            The segmentations, in the order of the cases.

        Raises:
            CaseError: If something is wrong with a case, which it names.
        """
        found, arrays = self.find(inputs)
        for case, reason in found.bad.items():
            raise CaseError(f'{case}: {reason}')
        jobs = [*self.jobs(found.cases), *self._jobs_of_arrays(arrays)]
        bar = tqdm(
            self.read_ahead(jobs), total=len(jobs), desc='Segmenting', unit='case', disable=not progress
        )
        for job, read in bar:
            try:
                yield self.segment(read.result(), probabilities)
            except CaseError as error:
                raise CaseError(f'{job.case}: {error}') from error

    def find(self, inputs: Input | Sequence[Input]) -> tuple[Found, list[Arrays]]:
        """Return the cases in all folders, each id once, and the cases in arrays.

        Raises:
            FileNotFoundError: If a folder is missing or holds no case.
            ValueError: If two folders hold a case of one id.
        """
        found, arrays = Found(), []
        for item in [inputs] if isinstance(inputs, (str, Path, Mapping)) else inputs:
            if isinstance(item, Mapping):
                arrays.append(item)
                continue
            part = find_cases(item, self.allow_missing, self.modalities)
            held = {*(case.case for case in found.cases), *found.bad}
            twice = sorted(held & {*(case.case for case in part.cases), *part.bad})
            if twice:
                raise ValueError(f"Case '{twice[0]}' is in several of the inputs: keep one of them.")
            found.cases += part.cases
            found.bad |= part.bad
            found.notes += part.notes
        return found, arrays

    def jobs(self, cases: Sequence[SourceCase], seen: Mapping[str, Seen] | None = None) -> list[Job]:
        """Return what is to be done for cases in files: what labels mean is decided for all of them at once.

        Args:
            cases: The cases.
            seen: What labels their segmentations hold. Default: they are looked at.

        Raises:
            CaseError: If a segmentation that had to be looked at is bad.
            ValueError: If the labels' meaning is left open, or is another than the model's.
        """
        if seen is None:
            seen = {case.case: see_labels(case) for case in cases}
            bad = next((case for case, look in seen.items() if look.reason), None)
            if bad is not None:
                raise CaseError(f'{bad}: {seen[bad].reason}')
        conventions = {}
        for naming in sorted({case.naming for case in cases}):
            members = [case for case in cases if case.naming == naming]
            if self.labels is None and not any('seg' in case.files for case in members):
                conventions[naming] = self._convention_without_labels(naming)
            else:
                conventions |= decide(members, seen, (), self.labels)
        for naming, convention in conventions.items():
            self._check_scheme(f'the cases named as in {naming}', convention)
        return [Job(case.case, case, conventions[case.naming]) for case in cases]

    def read_ahead(self, jobs: Sequence[Job], workers: int = 1) -> Iterator[tuple[Job, Future[ReadCase]]]:
        """Yield each job and what was read for it, while the next ones are read in threads."""
        return ahead(self.read, jobs, workers)

    def read(self, job: Job) -> ReadCase:
        """Read a case and make the model's input of it.

        Raises:
            CaseError: If something is wrong with it.
        """
        reading: Callable = (
            read_case if isinstance(job.source, SourceCase) else partial(_read_arrays, job.case)
        )
        try:
            prepared = CaseInMemory(job.case, reading(job.source, job.convention), job.convention)
        except MemoryError:
            raise CaseError('it needs more memory than there is') from None
        item = dict(
            case=job.case,
            prepared_case=prepared,
            ori_shape=prepared.shape,
            spacing=prepared.spacing,
            modalities=self.modalities,
        )
        return ReadCase(prepared, pseudo_collate([self._pipeline(item)]), tuple(self._notes(prepared)))

    def segment(self, read: ReadCase, probabilities: bool = False) -> Segmentation:
        """Run the model on a case that was read.

        Raises:
            ValueError: If the segmentations are to be written in a convention of other classes.
        """
        self._segmentor.test_cfg.probabilities = probabilities
        with torch.no_grad():
            (sample,) = self.model.test_step(read.batch)
        convention = self.out_labels or read.prepared.convention
        if convention.scheme != read.prepared.convention.scheme:
            raise ValueError(
                f'{convention.name} cannot write the classes of {read.prepared.convention.name}, '
                f'{list(read.prepared.convention.scheme.classes)}.'
            )
        return Segmentation(
            prepared=read.prepared,
            training_labels=sample.pred_sem_seg.data.cpu().numpy(),
            training_probabilities=sample.probabilities.cpu().numpy() if probabilities else None,
            convention=convention,
            notes=read.notes if sample.get('finite', True) else (*read.notes, NOT_FINITE),
        )

    def _notes(self, prepared: CaseInMemory) -> Iterator[str]:
        missing = [modality for modality, there in prepared.holds(self.modalities).items() if not there]
        if missing and isinstance(self.model, GuidedModel):
            yield (
                f'{", ".join(missing)} is missing and counts as absent: its representation is zero, which a '
                'model knows that was trained with such cases or with ModalityDropout'
            )
        elif missing:
            yield (
                f'{", ".join(missing)} is missing and its input is 0 everywhere, the mean of the brain, '
                'which a model knows that was trained with such cases'
            )
        if prepared.brain_share > FULL:
            yield (
                f'nearly the whole box counts as brain (more than {FULL:.0%}): the '
                'volumes may not be skull-stripped'
            )
        if prepared.oblique:
            yield "the axes lie oblique: each counts as the patient's axis next to it, nothing is resampled"
        if not has_usual_size(prepared.spacing):
            yield OTHER_SIZE

    def _convention_without_labels(self, naming: str) -> LabelConvention:
        """Return how segmentations are written of cases that have none: as the naming's challenge does."""
        fitting = [c for c in CONVENTIONS.values() if c.scheme in self._schemes]
        if naming == '2021' and CONVENTIONS['gli2021'] in fitting:
            return CONVENTIONS['gli2021']
        return next(c for c in fitting if c.on_disk == tuple(range(len(c.on_disk))))

    def _check_scheme(self, whose: str, convention: LabelConvention) -> None:
        if convention.scheme not in self._schemes:
            names = ', '.join(c.name for c in CONVENTIONS.values() if c.scheme in self._schemes)
            raise ValueError(
                f'The labels of {whose} are those of {convention.name}, '
                f'{list(convention.scheme.classes)}, but the model was trained on '
                f'{list(self._schemes[0].classes)}. If they are of the model after all, say so with `labels` '
                f'(--labels), one of {names}.'
            )

    def _jobs_of_arrays(self, arrays: Sequence[Arrays]) -> list[Job]:
        convention = get_convention(self.labels) if self.labels else self._convention_without_labels('')
        names = [check_case_id(str(item.get('case', f'case_{index}'))) for index, item in enumerate(arrays)]
        self._check_scheme('the arrays', convention)
        for name, item in zip(names, arrays, strict=True):
            missing = [modality for modality in self.modalities if modality not in item]
            unknown = sorted(set(item) - {*MODALITIES, 'affine', 'case', 'seg'})
            if unknown or len(missing) == len(self.modalities) or (missing and not self.allow_missing):
                wrong = f'holds {unknown}' if unknown else f'lacks {missing}'
                raise CaseError(f'{name} {wrong}; arrays are named {list(MODALITIES)}')
            if 'affine' not in item:
                raise CaseError(f'{name} lacks `affine`, without which left and right are not known')
        return [Job(name, item, convention) for name, item in zip(names, arrays, strict=True)]


def region_volumes(labels: np.ndarray, affine: np.ndarray, scheme: Scheme) -> dict[str, float]:
    """Return the volume of each region in ml.

    Args:
        labels: Training labels, any shape.
        affine: From voxels to mm, (4, 4).
        scheme: Which labels make which region.
    """
    voxel = abs(np.linalg.det(affine[:3, :3])) / 1000
    counts = np.bincount(labels.ravel(), minlength=len(scheme.classes))
    return {region: float(counts[list(members)].sum() * voxel) for region, members in scheme.regions.items()}


def fitting_schemes(outputs: Outputs, classes: Sequence[str] | None) -> list[Scheme]:
    """Return the schemes whose classes a model may have.

    Args:
        outputs: What the model predicts.
        classes: Their names, if the checkpoint tells them; names of one's own fit by number and regions.

    Raises:
        ValueError: If no challenge has so many classes, or such regions.
    """
    schemes: list[Scheme] = []
    for convention in CONVENTIONS.values():
        if convention.scheme not in schemes:
            schemes.append(convention.scheme)
    named = [scheme for scheme in schemes if classes is not None and scheme.classes == tuple(classes)]
    likely = named or [scheme for scheme in schemes if len(scheme.classes) == outputs.labels]
    fitting = [scheme for scheme in likely if outputs.fits(scheme)]
    if not fitting:
        raise ValueError(f'The model has {outputs.describe()}, as no set of BraTS has.')
    return fitting


def _read_arrays(case: str, arrays: Arrays, convention: LabelConvention) -> Any:
    volumes = {
        name: volume_of_array(arrays[name], arrays['affine'], f'{name} of {case}')
        for name in (*MODALITIES, 'seg')
        if name in arrays
    }
    return join_volumes(volumes, convention)
