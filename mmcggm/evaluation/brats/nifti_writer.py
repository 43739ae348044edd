"""Predictions as NIfTI files."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmcggm.datasets.brats.cases import check_case_id
from mmcggm.datasets.brats.label_conventions import get_convention
from mmcggm.datasets.brats.volume_store import StoredCase
from mmcggm.registry import METRICS
from mmcggm.utils.folders import make_writable

from .volumes import predicted_volume


@METRICS.register_module()
class NiftiWriter(BaseMetric):
    """Writes each case's segmentation to ``{out_dir}/{case}.nii.gz`` in its source's geometry.

    It computes no figure and needs no ground truth, so it also serves cases without labels.

    Args:
        out_dir: Folder for the files; created where missing.
        label_convention: Whose labels the files get: ``'source'`` as in the case's own files, or the name
            of a convention of the same classes, see :mod:`mmcggm.datasets.brats.label_conventions`;
            ``'2021'`` and ``'2023'`` are those of gliomas.
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        OSError: If nothing can be written to ``out_dir``.
        ValueError: If there is no such convention, or on a sample that is no segmentation of a stored case.
    """

    default_prefix = ''  # None makes MMEngine warn about a missing prefix

    def __init__(self, out_dir: str, label_convention: str = 'source', **kwargs) -> None:
        super().__init__(**kwargs)
        self.convention = None if label_convention == 'source' else get_convention(label_convention).name
        self.out_dir = make_writable(out_dir, '--out')

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Write the predictions of a batch."""
        for sample in data_samples:
            if 'case_path' not in sample or 'pred_sem_seg' not in sample:
                raise ValueError(
                    'Only segmentations of BraTSDataset are written as NIfTI (`mmcggm test --out DIR`); '
                    f'this sample has {sorted(sample)}.'
                )
            path = self.out_dir / f'{check_case_id(sample["case"])}.nii.gz'
            stored = StoredCase(sample['case_path'])
            stored.write_nifti(predicted_volume(sample), path, convention=self.convention)
            self.results.append(sample['case'])

    def compute_metrics(self, results: list[str]) -> dict[str, float]:
        """Report how many files were written; there is no figure to return."""
        print_log(f'Wrote {len(results)} segmentations to {self.out_dir}', logger='current')
        return {}
