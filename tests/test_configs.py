"""Every config loads, builds its model, says its method, and what to do where its data is absent."""

import ast
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmcggm.engine.saved_config import save_config
from mmcggm.engine.settings import read_config
from mmcggm.registry import DATASETS, METRICS, MODELS

ROOT = Path(__file__).parents[1]
BASES = ROOT / 'configs' / '_base_'
BASELINE = ROOT / 'configs' / 'baseline'
# Those of a method's folder: beside the folders stand a user's own.
CONFIGS = sorted(p for p in (ROOT / 'configs').glob('*/*.py') if p.parent.name not in ('_base_', 'benchmark'))
SHIPPED = [*CONFIGS, *BASES.glob('*.py'), *BASES.glob('*/*.py'), *(ROOT / 'configs/benchmark').rglob('*.py')]
GUIDED = {path.stem for path in (BASES / 'guided').glob('*.py')}
UNBALANCED = {'baseline', 'single', 'mmcosine', 'pretrained'}


@pytest.fixture(scope='module', params=CONFIGS, ids=lambda path: str(path.relative_to(ROOT / 'configs')))
def cfg(request):
    with DefaultScope.overwrite_default_scope('mmcggm'):
        yield read_config(request.param)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / 'configs'))


def test_model_and_metrics_build(cfg):
    with torch.device('meta'):
        MODELS.build(cfg.model)
    METRICS.build(cfg.val_evaluator)


def test_absent_data_is_explained(cfg, tmp_path):
    if 'data_root' not in cfg.train_dataloader.dataset:  # there are no files that could be absent
        assert len(DATASETS.build(cfg.train_dataloader.dataset))
        return
    with pytest.raises(FileNotFoundError, match='download'):
        DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=str(tmp_path / 'nowhere')))


def test_method_is_that_of_the_folder(cfg):
    folder = Path(cfg.filename).parent.name
    balancer, hooks = cfg.optim_wrapper.get('balancer'), [hook.type for hook in cfg.get('custom_hooks', [])]
    if folder in UNBALANCED:
        assert balancer is None and 'BalancingHook' not in hooks
    else:
        spelled = {'cggm', 'teachingcggm'} if folder == 'cggm' else {folder.replace('_', '')}
        assert balancer.type.lower() in spelled and hooks[0] == 'BalancingHook'
    assert ('only' in cfg.model) == (folder == 'single')


@pytest.mark.parametrize('path', sorted(BASELINE.glob('*.py')), ids=name)
def test_what_is_saved_beside_a_training_says_the_same(path, tmp_path):
    cfg = read_config(path)
    save_config(cfg, tmp_path / 'saved.py')
    assert repr(read_config(tmp_path / 'saved.py').to_dict()) == repr(cfg.to_dict())  # the order, too
    cfg.dump(tmp_path / 'sorted.py')
    assert read_config(tmp_path / 'sorted.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize('path', CONFIGS, ids=name)
def test_file_is_named_after_its_data(path):
    # A network that takes all modalities as channels has none to balance.
    networks = {network.stem for network in (BASES / 'models').glob('*.py')}
    assert path.stem in GUIDED | networks or any(path.stem.startswith(f'{data}_') for data in GUIDED)


@pytest.mark.parametrize('path', SHIPPED, ids=name)
def test_inherits_from_no_other_method(path):
    """What all share is in ``_base_``, so that no method's settings have to be taken away again."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    assert ast.get_docstring(tree)
    found = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets) == '_base_']
    for base in [(path.parent / base).resolve() for node in found for base in ast.literal_eval(node)]:
        # The baseline has no method; MMCosine is its network with another head.
        assert any(base.is_relative_to(folder) for folder in (BASES, path.parent, BASELINE)), base
    balancers = [n.value for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg == 'balancer']
    assert not any('_delete_' in ast.unparse(value) for value in balancers)


def test_a_user_sets_a_method_or_takes_another(tmp_path):
    def write(file: str, base: Path, balancer: str) -> Config:
        text = f'_base_ = [{str(base)!r}]\ntrain_dataloader = dict(batch_size=5)\n'
        (tmp_path / file).write_text(f'{text}optim_wrapper = dict({balancer})\n')
        return Config.fromfile(tmp_path / file)

    mine = write('my_cggm.py', ROOT / 'configs/cggm/mfeat_paper.py', 'balancer=dict(rho=1.3)')
    assert mine.optim_wrapper.balancer == dict(type='CGGM', rho=1.3, lam=0.2)
    mine.merge_from_dict({'optim_wrapper.balancer.rho': 1.1})
    assert mine.optim_wrapper.balancer == dict(type='CGGM', rho=1.1, lam=0.2)

    assert 'balancer' not in write('my.py', BASES / 'guided' / 'mfeat.py', '').optim_wrapper
    other = write('my_ogm.py', tmp_path / 'my.py', "balancer=dict(type='OGM', alpha=0.8)")
    assert other.optim_wrapper.balancer == dict(type='OGM', alpha=0.8)
    assert other.optim_wrapper.guide_optimizer == mine.optim_wrapper.guide_optimizer


RECOMMENDED = dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))
PUBLISHED = {  # of the paper's code; of digits the λ of most of them, with a neutral ρ
    'brats_unet': dict(rho=1.0, lam=0.1),
    'brats_deeplabv3plus_r101': dict(rho=1.0, lam=0.1),
    'cmu_mosi': dict(rho=1.3, lam=0.2),
    'cmu_mosei': dict(rho=1.3, lam=0.2),
    'iemocap': dict(rho=1.3, lam=0.2),
    'food101': dict(rho=1.3, lam=0.05),
    'food101_cached': dict(rho=1.3, lam=0.05),
    'av_digits': dict(rho=2.0, lam=0.2),
    'mfeat': dict(rho='neutral', lam=0.2),
    'brca': dict(rho='neutral', lam=0.2),
    'synthetic_information': dict(rho='neutral', lam=0.2),
}


@pytest.mark.parametrize('path', [p for p in CONFIGS if p.parent.name == 'cggm'], ids=name)
def test_cggm_is_as_recommended_unless_it_is_the_papers(path):
    data, wrapper = path.stem.removesuffix('_paper'), Config.fromfile(path).optim_wrapper
    balancer = wrapper.balancer
    if path.stem == data:
        recommended = dict(type='TeachingCGGM') if data.endswith('_teaching') else RECOMMENDED
        suited = dict(magnitude='update') if wrapper.optimizer.type.startswith('Adam') else {}
        assert balancer == {**recommended, **suited}
    else:
        assert balancer == dict(type='CGGM', **PUBLISHED[data])
        assert f'``{data}.py``' in ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
        plain, published = (Config.fromfile(path.with_stem(stem)).to_dict() for stem in (data, path.stem))
        for cfg in (plain, published):
            del cfg['optim_wrapper']['balancer']
        assert plain == published


def test_demo_changes_only_what_it_must():
    whole, demo = (Config.fromfile(ROOT / f'configs/cggm/brats_unet{s}.py') for s in ('', '_demo'))
    assert demo.model.model.backbone.encoder.type == whole.model.model.backbone.encoder.type
    assert demo.optim_wrapper.balancer == whole.optim_wrapper.balancer
    assert demo.custom_hooks == whole.custom_hooks
    assert demo.train_pipeline == whole.train_pipeline
