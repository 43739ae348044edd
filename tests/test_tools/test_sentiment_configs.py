"""The configs of CMU-MOSI and CMU-MOSEI train, validate, resume and test on the published formats."""

from pathlib import Path
from uuid import uuid4

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmcggm.datasets.sentiment.converter import convert_pickle
from tests.formats.mosi import UNALIGNED, mmsa_data, mult_data, write_pickle

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = ('baseline/cmu_mosi', 'baseline/cmu_mosei', 'cggm/cmu_mosi', 'cggm/cmu_mosei')
GLOVE = 300


def config(name: str, folder: Path, ann_file: str, **settings) -> Config:
    """Return a config of the repository on the file, its model as it is but for fewer layers."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    model = cfg.model.get('model', cfg.model)
    for encoder in model.backbone.encoders.values():
        encoder.num_layers = 1
    model.backbone.fusion.num_layers = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=8, num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=str(folder), ann_file=ann_file)
    cfg.merge_from_dict(
        {
            'train_cfg.max_epochs': 2,
            'work_dir': str(folder / 'work'),
            'experiment_name': f'sentiment_{uuid4().hex}',
            'default_hooks.logger.interval': 1,
            'log_level': 'WARNING',
            **settings,
        }
    )
    return cfg


def widths(name: str) -> dict[str, int]:
    return dict(Config.fromfile(CONFIGS / f'{name}.py').widths)


@pytest.mark.parametrize('name', ['baseline/cmu_mosei', 'cggm/cmu_mosi'])
def test_a_config_trains_validates_resumes_and_tests(tmp_path, name):
    write_pickle(tmp_path / 'aligned_50.pkl', mmsa_data(widths=widths(name)))
    runner = Runner.from_cfg(config(name, tmp_path, 'aligned_50.pkl'))
    runner.train()
    assert runner.param_schedulers[0].best < 6, 'the schedule must see the metric that it watches'
    assert runner.test().keys() == runner.val_loop.run().keys() >= {'MAE', 'Corr', 'Acc7', 'F1_pos'}

    longer = config(name, tmp_path, 'aligned_50.pkl', resume=True, **{'train_cfg.max_epochs': 3})
    resumed = Runner.from_cfg(longer)
    resumed.train()
    assert resumed.epoch == 3 and resumed.iter == 6
    # The schedule still watches: epochs 1 and 3, as MMEngine saves epoch 2 before it validates it.
    assert resumed.param_schedulers[0].last_step == 1


@pytest.mark.parametrize('kind', ['MulT', 'MMSA, unaligned', 'HDF5'])
def test_other_files_and_padding_that_is_respected(tmp_path, kind):
    text = GLOVE if kind == 'MulT' else 768
    channels = widths('cggm/cmu_mosi') | dict(text=text)
    data = mult_data(UNALIGNED, channels) if kind == 'MulT' else mmsa_data(aligned=False, widths=channels)
    write_pickle(tmp_path / 'data.pkl', data)
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    settings = {'model.model.mask_padding': True, 'model.model.backbone.encoders.text.in_channels': text}
    for loader in ('train', 'val', 'test'):
        settings[f'{loader}_dataloader.dataset.padding'] = 'end'
        settings[f'{loader}_dataloader.dataset.channels.text'] = text
    ann_file = 'data.h5' if kind == 'HDF5' else 'data.pkl'
    runner = Runner.from_cfg(config('cggm/cmu_mosi', tmp_path, ann_file, **settings))
    runner.train()
    batch = next(iter(runner.train_dataloader))
    assert {m: tuple(x.shape[1:]) for m, x in batch['inputs'].items()} == {
        m: (UNALIGNED[m], channels[m]) for m in UNALIGNED
    }
    assert set(batch['lengths']) == set(UNALIGNED)

    model = runner.model.eval()
    inputs = {m: x.clone() for m, x in batch['inputs'].items()}
    for m, x in inputs.items():
        for sequence, length in zip(x, batch['lengths'][m], strict=True):
            sequence[length:] = 7
    with torch.no_grad():
        expected, found = (model.model(x, lengths=batch['lengths']) for x in (batch['inputs'], inputs))
    torch.testing.assert_close(found, expected, msg='padding must not matter')


def test_a_config_says_when_the_file_has_other_features(tmp_path):
    write_pickle(tmp_path / 'data.pkl', mult_data(widths=dict(text=GLOVE, audio=5, vision=20)))
    with pytest.raises(ValueError, match=r"'text' has 300 channels, the config says 768"):
        Runner.from_cfg(config('baseline/cmu_mosi', tmp_path, 'data.pkl')).train()


@pytest.mark.parametrize('name', NAMES)
def test_published_settings(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    model = cfg.model.get('model', cfg.model)
    assert model.mask_padding is False and cfg.train_dataloader.dataset.padding == 'file'
    assert {m: e.in_channels for m, e in model.backbone.encoders.items()} == cfg.widths
    assert [e.num_layers for e in model.backbone.encoders.values()] == [5, 5, 5]
    assert model.backbone.fusion.num_layers == 3 and model.loss.type == 'torch.nn.L1Loss'
    assert cfg.train_dataloader.batch_size == 64 and cfg.train_cfg.max_epochs == 30
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-3)
    assert cfg.optim_wrapper.clip_grad.max_norm == 0.8
    assert (cfg.param_scheduler.factor, cfg.param_scheduler.patience) == (0.1, 10)
    if name.startswith('cggm'):
        assert cfg.optim_wrapper.guide_optimizer == dict(type='Adam', lr=5e-4)
        assert cfg.model.guide.num_layers == 2 and cfg.model.task.score == 'sign'
