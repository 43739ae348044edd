"""A case of brain scans as one HTML file: sequences, reference and prediction, in a browser, from disk."""

from __future__ import annotations

import base64
import gzip
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mmcggm.datasets.brats.label_conventions import Scheme
from mmcggm.datasets.brats.nifti import parse_header, to_source
from mmcggm.evaluation.brats.regions import get_rule, region_scores

from .slices import SEQUENCE_NAMES

TEMPLATE = Path(__file__).parent / 'case_viewer.html'
ONLY_TRUTH, ONLY_PREDICTION = (80, 160, 255), (255, 90, 200)  # of the layer of differences


@dataclass(frozen=True)
class ViewedCase:
    """What the viewer shows of a case, in the orientation LPS.

    Attributes:
        name: Of the case.
        image: Shape (M, D, H, W), exactly 0 outside the brain.
        modalities: The M names of its sequences.
        header: Binary NIfTI header that places it in the patient.
        spacing: Voxel size in mm along (D, H, W).
        scheme: What the training labels mean.
        truth: Training labels (D, H, W), or None.
        prediction: Training labels (D, H, W), or None.
    """

    name: str
    image: np.ndarray
    modalities: Sequence[str]
    header: bytes
    spacing: tuple[float, float, float]
    scheme: Scheme
    truth: np.ndarray | None = None
    prediction: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, labels in self.labels.items():
            if labels.shape != self.image.shape[1:]:
                raise ValueError(
                    f"The {name} of '{self.name}' has shape {labels.shape}, the case has "
                    f'{self.image.shape[1:]}.'
                )

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Truth and prediction, those that are there."""
        both = dict(truth=self.truth, prediction=self.prediction)
        return {name: labels for name, labels in both.items() if labels is not None}


def case_page(case: ViewedCase, niivue: str) -> str:
    """Return the page, which holds all that it needs.

    Args:
        case: What it shows.
        niivue: Of :func:`~mmcggm.visualization.niivue.niivue_script`.
    """
    colours = [list(colour) for colour in case.scheme.metainfo['palette'][1:]]
    layers = {name: dict(data=labels, colours=colours) for name, labels in case.labels.items()}
    if len(layers) == 2:
        differ = np.where(case.truth == case.prediction, 0, np.where(case.prediction == 0, 1, 2))
        layers['differences'] = dict(data=differ, colours=[ONLY_TRUTH, ONLY_PREDICTION])
    header = parse_header(case.header)
    volumes = {
        SEQUENCE_NAMES.get(name, name): _shades(volume)
        for name, volume in zip(case.modalities, case.image, strict=True)
    }
    content = dict(
        case=case.name,
        nifti_header=_packed(_nifti(next(iter(volumes.values())), header)[:352]),
        sequences={name: _packed(_nifti(volume, header)[352:]) for name, volume in volumes.items()},
        layers={
            name: dict(data=_packed(_nifti(layer['data'], header)[352:]), colours=layer['colours'])
            for name, layer in layers.items()
        },
        start=_start(case, header),
    )
    parts = {
        '@CASE@': html.escape(case.name),
        '@SEQUENCES@': _choices(volumes),
        '@LAYERS@': _switches(layers),
        '@LEGEND@': _legend(case, layers),
        '@TABLE@': _table(case),
        '@DATA@': json.dumps(content).replace('</', r'<\/'),
        '@NIIVUE@': niivue,
    }
    template = TEMPLATE.read_text(encoding='utf-8')
    return re.sub('|'.join(parts), lambda mark: parts[mark[0]], template)  # what is put in stays as it is


def region_table(case: ViewedCase) -> list[dict[str, float | str]]:
    """Return, by region, Dice and HD95 in mm, where both are there, and the volumes in ml."""
    voxel = math.prod(case.spacing) / 1000
    scores = {}
    if len(case.labels) == 2:
        rule, regions = get_rule('challenge'), dict(case.scheme.regions)
        scores = region_scores(case.prediction, case.truth, case.spacing, rule, regions)
    rows = []
    for region, values in case.scheme.regions.items():
        row: dict[str, float | str] = dict(region=region)
        if region in scores:
            row['Dice'], row['HD95 (mm)'] = scores[region]
        for name, labels in case.labels.items():
            row[f'{name} (ml)'] = float(np.isin(labels, values).sum() * voxel)
        rows.append(row)
    return rows


def _shades(volume: np.ndarray) -> np.ndarray:
    """Return a sequence in 255 shades of grey, 0 outside the brain."""
    brain = volume != 0
    if not brain.any():
        return np.zeros(volume.shape, dtype=np.uint8)
    low, high = np.percentile(volume[brain], (0.5, 99.5))
    scaled = (volume - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.where(brain, 1 + 254 * scaled.clip(0, 1), 0).astype(np.uint8)


def _nifti(volume: np.ndarray, header: nib.Nifti1Header) -> bytes:
    """Return a volume (D, H, W) as the bytes of an uncompressed NIfTI file in the source's orientation."""
    turned = to_source(np.moveaxis(volume.astype(np.uint8), 0, 2), header)
    return nib.Nifti1Image(turned, header.get_best_affine()).to_bytes()


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


def _start(case: ViewedCase, header: nib.Nifti1Header) -> list[float]:
    """Return the point in mm where the viewer opens: the middle of the tumour's largest axial slice."""
    inside = next((labels != 0 for labels in case.labels.values() if labels.any()), (case.image != 0).any(0))
    depth = int(inside.sum((1, 2)).argmax())
    rows, columns = np.nonzero(inside[depth])
    mark = np.zeros(inside.shape, dtype=np.uint8)
    mark[depth, int(np.median(rows)), int(np.median(columns))] = 1
    voxel = np.argwhere(to_source(np.moveaxis(mark, 0, 2), header))[0]
    return [float(value) for value in nib.affines.apply_affine(header.get_best_affine(), voxel)]


def _choices(names: Mapping[str, object]) -> str:
    return ''.join(
        f'<label><input type="radio" name="sequence" value="{html.escape(name)}"{" checked" * (i == 0)}>'
        f'<span>{html.escape(name)}</span></label>'
        for i, name in enumerate(names)
    )


def _switches(layers: Mapping[str, object]) -> str:
    shown = next(reversed([name for name in layers if name != 'differences']), None)
    return ''.join(
        f'<label><input type="checkbox" name="layer" value="{name}"{" checked" * (name == shown)}>'
        f'<span>{name}</span></label>'
        for name in layers
    )


def _legend(case: ViewedCase, layers: Mapping[str, object]) -> str:
    entries = [
        (colour, f'{short} <small>{html.escape(name)}</small>')
        for colour, short, name in zip(
            case.scheme.metainfo['palette'][1:], case.scheme.short, case.scheme.classes[1:], strict=True
        )
    ]
    if 'differences' in layers:
        entries += [(ONLY_TRUTH, 'missed <small>in the truth only</small>')]
        entries += [(ONLY_PREDICTION, 'other <small>predicted, but not so in the truth</small>')]
    return ''.join(
        f'<li><i style="background:rgb{tuple(colour)}"></i>{text}</li>' for colour, text in entries
    )


def _table(case: ViewedCase) -> str:
    if not case.labels:
        return '<p>Neither reference nor prediction.</p>'
    rows = region_table(case)
    head = ''.join(f'<th>{html.escape(name)}</th>' for name in rows[0])
    body = ''.join(
        '<tr>' + ''.join(f'<td>{_shown(value)}</td>' for value in row.values()) + '</tr>' for row in rows
    )
    return f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return html.escape(value)
    return '–' if math.isnan(value) else f'{value:.2f}'
