"""The case viewer: what the page holds, and that a real browser shows it from disk."""

import io
import re
import runpy
import shutil
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from mmcggm.datasets.brats.label_conventions import TUMOUR
from mmcggm.visualization.case_viewer import ViewedCase, case_page, region_table
from mmcggm.visualization.niivue import niivue_script
from mmcggm.visualization.viewed_cases import find_viewed_cases
from tests.tool import exit_status

pytest.importorskip('h5py')
pytest.importorskip('panoptica')
TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'view_case.py'
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
SOFTWARE = [
    '--no-sandbox',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--ignore-gpu-blocklist',
]


def viewed(**changes) -> ViewedCase:
    """Return a case of 10 x 20 x 24 voxels of 1 mm; its prediction is half a tumour off."""
    draw = np.random.default_rng(0)
    image = np.zeros((4, 10, 20, 24), dtype=np.float32)
    image[:, 1:9, 3:17, 2:22] = draw.normal(size=(4, 8, 14, 20))
    truth = np.zeros((10, 20, 24), dtype=np.uint8)
    truth[4:7, 5:9, 5:11] = 2
    header = nib.Nifti1Image(np.zeros((20, 24, 10), dtype=np.uint8), LPS).header.binaryblock
    parts = dict(truth=truth, prediction=np.roll(truth, 2, axis=1))
    return ViewedCase(
        '<a&b>', image, ('flair', 't1ce', 't1', 't2'), header, (1, 1, 1), TUMOUR, **{**parts, **changes}
    )


def test_dice_and_volumes():
    rows = {row['region']: row for row in region_table(viewed())}
    assert rows['WT']['Dice'] == pytest.approx(0.5)
    assert rows['WT']['truth (ml)'] == rows['WT']['prediction (ml)'] == pytest.approx(72 / 1000)
    assert list(region_table(viewed(truth=None))[0]) == ['region', 'prediction (ml)']


def test_page_holds_everything_and_quotes_names():
    page = case_page(viewed(), 'globalThis.niivue = "</scr" + "ipt>";')
    assert '&lt;a&amp;b&gt;' in page and '<a&b>' not in page.split('<script id="data"')[0]
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert [name for name in ('truth', 'prediction', 'differences') if f'value="{name}"' in page] == [
        'truth',
        'prediction',
        'differences',
    ]
    alone = case_page(viewed(truth=None), '')
    assert 'value="prediction"' in alone and 'value="truth"' not in alone
    assert 'Neither reference nor prediction' in case_page(viewed(truth=None, prediction=None), '')


def test_shape_of_a_prediction():
    with pytest.raises(ValueError, match=r'The prediction of .* has shape \(1, 2, 3\)'):
        viewed(prediction=np.zeros((1, 2, 3), dtype=np.uint8))


def test_niivue_from_a_file_that_is_none(tmp_path):
    (tmp_path / 'other.js').write_text('alert(1)')
    with pytest.raises(ValueError, match=r'is not `niivue\.umd\.js`.*npm pack'):
        niivue_script(tmp_path / 'other.js')


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """Two published cases, one of them with a prediction: its own reference."""
    folder, case = tmp_path_factory.mktemp('published'), viewed()
    (folder / 'pred').mkdir()
    for name in 'ab':
        (folder / 'cases' / name).mkdir(parents=True)
        volumes = dict(zip(case.modalities, case.image - case.image.min() * (case.image != 0), strict=True))
        for sequence, volume in {**volumes, 'seg': case.truth}.items():
            file = nib.Nifti1Image(np.moveaxis(volume, 0, 2), LPS)
            file.to_filename(folder / 'cases' / name / f'{name}_{sequence}.nii.gz')
    shutil.copy(folder / 'cases' / 'a' / 'a_seg.nii.gz', folder / 'pred' / 'a.nii.gz')
    return folder, 'a'


def test_published_cases_are_found(published):
    folder, case = published
    assert len(list(find_viewed_cases(folder / 'cases'))) == 2
    (found,) = find_viewed_cases(folder / 'cases', folder / 'pred')
    assert found.name == case and found.image.shape[1:] == found.truth.shape
    assert all(row['Dice'] == 1 for row in region_table(found) if row['truth (ml)'])
    assert [one.name for one in find_viewed_cases(folder / 'cases', folder / 'pred' / f'{case}.nii.gz')] == [
        case
    ]
    with pytest.raises(FileNotFoundError, match='has no case nobody'):
        list(find_viewed_cases(folder / 'cases', cases=['nobody']))
    (folder / 'empty').mkdir(exist_ok=True)
    with pytest.raises(FileNotFoundError, match=r'holds no \{case\}\.nii\.gz of the cases'):
        list(find_viewed_cases(folder / 'cases', folder / 'empty'))


@pytest.fixture(scope='module')
def browser():
    api = pytest.importorskip('playwright.sync_api')
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f'no browser: none of {", ".join(BROWSERS)} is installed')
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=SOFTWARE)
        yield opened
        opened.close()


def lit(picture: bytes) -> tuple[float, float]:
    """Return how bright and how coloured the left of a screenshot is, where the views are."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert('RGB')).astype(float)[:, :400]
    return pixels.mean(), (pixels.max(2) - pixels.min(2)).mean()


def test_a_browser_shows_it_from_disk(browser, tmp_path):
    if find_spec('ipyniivue') is None:
        pytest.skip('no NiiVue: ipyniivue is not installed')
    path = tmp_path / 'case.html'
    path.write_text(case_page(viewed(), niivue_script()), encoding='utf-8')
    page = browser.new_page(viewport=dict(width=800, height=500))
    page.set_default_timeout(120_000)
    errors, requests = [], []
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('console', lambda message: errors.append(message.text) if message.type == 'error' else None)
    page.on('request', lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector('body[data-ready]', state='attached')
    page.get_by_text('Axial', exact=True).first.click()

    shown = {}

    def look(name):
        page.wait_for_timeout(200)
        shown[name] = page.screenshot()

    look('prediction')
    page.get_by_text('prediction', exact=True).click()
    look('neither')
    page.get_by_text('truth', exact=True).click()
    look('truth')
    page.locator('#opacity').fill('100')
    look('opaque')
    page.get_by_text('T2', exact=True).click()
    look('other sequence')
    page.locator('#slice').fill('2')
    look('other slice')
    page.get_by_text('3D', exact=True).click()
    look('3D')

    assert lit(shown['neither'])[0] > 5, 'the sequence is dark'
    assert len(set(shown.values())) == len(shown), 'a control changes nothing'
    colour = {name: lit(picture)[1] for name, picture in shown.items()}
    assert colour['prediction'] > colour['neither'] and colour['opaque'] > colour['truth'] > colour['neither']
    assert 'voxel' in page.locator('#status').text_content()
    assert not errors
    assert all(url.startswith(('file:', 'blob:', 'data:')) for url in requests)
    page.close()


def test_tool(published, tmp_path, capsys):
    folder, case = published
    main = runpy.run_path(str(TOOL))['main']
    umd = tmp_path / 'niivue.umd.js'
    umd.write_text('self.niivue={}; function attachToCanvas() {}')
    arguments = [str(folder / 'cases'), '--out', str(tmp_path / 'views'), '--niivue', str(umd)]
    assert exit_status(lambda: main([*arguments, '--pred', str(folder / 'pred')])) == 0
    assert [path.name for path in (tmp_path / 'views').iterdir()] == [f'{case}.html']
    assert exit_status(lambda: main([*arguments, '--cases', 'nobody'])) == 1
    assert 'has no case nobody' in capsys.readouterr().err
