import runpy
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.volume_store import StoredCase, case_path, write_case
from mmcggm.visualization.slices import draw_cases, most_tumour, radiological
from tests.tool import exit_status

pytest.importorskip('h5py')
pytest.importorskip('panoptica')
TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'plot_slices.py'
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MODALITIES = ('flair', 't1ce', 't1', 't2')


@pytest.fixture
def store(tmp_path):
    """Two cases of 10 x 20 x 24 voxels; 'b' has no segmentation."""
    rng = np.random.default_rng(0)
    (tmp_path / 'store' / 'cases').mkdir(parents=True)
    for case in 'ab':
        image = np.zeros((4, 10, 20, 24), dtype=np.float32)
        image[:, 1:9, 3:17, 2:22] = rng.normal(size=(4, 8, 14, 20))
        write_case(
            case_path(tmp_path / 'store', case),
            image,
            truth() if case == 'a' else None,
            modalities=MODALITIES,
            spacing=(1, 1, 1),
            header=nib.Nifti1Image(np.zeros((20, 24, 10), dtype=np.uint8), LPS).header.binaryblock,
            labels='gli2021',
            source=[],
        )
    return tmp_path / 'store'


def truth():
    """Tumour in slices 4 and 5, more of it in 5."""
    seg = np.zeros((10, 20, 24), dtype=np.uint8)
    seg[4, 5:8, 5:8] = 2
    seg[5, 5:11, 5:11] = 2
    seg[5, 7:9, 7:9] = 1
    return seg


def load(store, case):
    return StoredCase(case_path(store, case))


def test_front_is_up_and_right_is_left():
    """The store is LPS: its first voxel is the patient's right front."""
    plane = np.zeros((5, 7))
    plane[0, 0] = 1
    image = radiological(plane)
    assert image.shape == (7, 5)
    assert image[0, 0] == 1 and image.sum() == 1


def test_most_tumour():
    assert most_tumour(truth()) == 5
    assert most_tumour(np.zeros((3, 4, 4), dtype=np.uint8)) is None


def test_figure(store):
    pred = np.roll(truth(), 3, axis=1)
    figure = draw_cases([(load(store, 'a'), pred), (load(store, 'b'), pred)])
    rows = np.array(figure.axes).reshape(2, 6)
    assert [ax.get_title() for ax in rows[0]] == ['FLAIR', 'T1ce', 'T1', 'T2', 'Ground truth', 'Prediction']
    assert [ax.get_ylabel() for ax in rows[:, 0]] == ['a\nslice 5', 'b\nslice 5']
    # Of the 45 voxels, the 36 of slice 5 overlap by half: 2 * 18 / 90. The core, 2 voxels wide, by none.
    assert rows[0, -1].get_xlabel() == 'Dice  WT 0.40  TC 0.00  ET –'
    assert rows[1, -1].get_xlabel() == ''  # no ground truth, no Dice
    assert [len(ax.images) for ax in rows[0]] == [1, 1, 1, 1, 2, 2]
    assert [len(ax.images) for ax in rows[1]] == [1, 1, 1, 1, 1, 2]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ['NCR: necrotic core', 'ED: edema', 'ET: enhancing tumour']
    assert len({(ax.get_xlim()[1] - ax.get_xlim()[0]) for ax in rows.flat}) == 1


def test_overlay_shows_the_labels_in_the_palette(store):
    figure = draw_cases([(load(store, 'a'), truth())])
    overlay = figure.axes[4].images[1]
    # In LPS the display is the transposed slice.
    np.testing.assert_array_equal(overlay.get_array().filled(0), truth()[5].T)
    for label, colour in enumerate(BraTSDataset.METAINFO['palette'][1:], 1):
        assert to_rgb(overlay.cmap(overlay.norm(label))) == pytest.approx([value / 255 for value in colour])


def test_prediction_of_another_shape(store):
    with pytest.raises(ValueError, match=r"'a' has shape \(2, 2, 2\)"):
        draw_cases([(load(store, 'a'), np.zeros((2, 2, 2), dtype=np.uint8))])


def test_tool(store, tmp_path, capsys):
    main = runpy.run_path(str(TOOL))['main']
    out = tmp_path / 'figures' / 'slices.png'
    (tmp_path / 'pred').mkdir()
    arguments = [str(store), str(tmp_path / 'pred'), '--out', str(out)]
    assert exit_status(lambda: main(arguments)) == 1
    assert 'pred holds no {case}.nii.gz' in capsys.readouterr().err
    load(store, 'a').write_nifti(truth(), tmp_path / 'pred' / 'a.nii.gz')
    assert exit_status(lambda: main([*arguments, '--cases', 'z'])) == 1
    assert exit_status(lambda: main(arguments)) == 0
    assert out.read_bytes().startswith(b'\x89PNG') and [path.name for path in out.parent.iterdir()] == [
        'slices.png'
    ]
