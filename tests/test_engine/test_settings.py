"""A setting that nothing reads is an error, wherever it stands."""

from pathlib import Path

import mmseg
import pytest
from mmengine.runner import Runner

from mmcggm.engine.settings import SettingError, read_by_runner, read_config

ROOT = Path(__file__).parents[2]
BASE = """
default_scope = 'mmcggm'
data_root = 'data/mine'
num_classes = 3
guide = dict(channels=8)  # for those who inherit it
model = dict(type='Net', head=dict(num_classes=num_classes))
train_dataloader = dict(dataset=dict(type='Mine', data_root=data_root))
test_dataloader = dict(dataset=dict(type='Mine', data_root=data_root))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
env_cfg = dict(cudnn_benchmark=True)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
"""


@pytest.fixture
def config(tmp_path):
    """Write a config on the base and return its path."""
    (tmp_path / 'base.py').write_text(BASE)

    def write(text: str, name: str = 'mine.py') -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


INHERITS = "_base_ = ['base.py']\n"


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('optim_wraper = dict(optimizer=dict(lr=1))', 'nothing reads a setting `optim_wraper`. Did you mean'),
        ('batch_size = 4', 'nothing reads a setting `batch_size`'),
        (
            "data_root = '/mine'",
            'base.py used `data_root` when it was read. '
            'Set `train_dataloader.dataset.data_root`, `test_dataloader.dataset.data_root` instead.',
        ),
        ('num_classes = 5', 'Set `model.head.num_classes` instead.'),
        ('vis_backends = []', 'Set `visualizer.vis_backends` instead.'),
        ('env_cfg = dict(cudnn_benchmrk=False)', "`env_cfg.cudnn_benchmrk`.*Did you mean 'cudnn_benchmark'"),
        ('env_cfg = dict(mp_cfg=dict(start_method="spawn"))', '`env_cfg.mp_cfg.start_method`'),
        ('auto_scale_lr = dict(base=16)', '`auto_scale_lr.base`'),
    ],
)
def test_in_a_config_it_is_named(config, text, message):
    with pytest.raises(SettingError, match=message):
        read_config(config(INHERITS + text))


@pytest.mark.parametrize(
    'text',
    [
        '',
        'train_cfg = dict(max_epochs=3)',
        'width = 4\nmodel = dict(head=dict(width=width))',
        'model = dict(guide={{_base_.guide}})',
        'model = dict(guide=_base_.guide)',
        '_note = "read by my own hook"',
        'rates = [0.1, 0.2]\nfor rate in rates:\n    optim_wrapper = dict(optimizer=dict(lr=rate))',
        'import math\n\ndef twice(x):\n    return 2 * x\n\nmodel = dict(width=twice(math.e))',
        'tta_model = dict(type="SegTTAModel")',
    ],
)
def test_what_is_read_passes(config, text):
    read_config(config(INHERITS + text))


def test_a_base_may_offer_what_this_config_does_not_use_but_not_misspell(config):
    read_config(config(INHERITS))
    config(f'{BASE}\noptim_wraper = dict()', 'base.py')
    with pytest.raises(SettingError, match=r'`optim_wraper` in .*base\.py has no effect'):
        read_config(config(INHERITS))


@pytest.mark.parametrize('name', ['mine.py', 'base.py'])
@pytest.mark.parametrize(
    ('text', 'line'), [('x = dict(\n', 1), ('\ufeffx = 1\n', 1), ('x = 1\n\ty = 2\n', 2)]
)
def test_a_file_that_is_no_python_is_named(config, name, text, line):
    config(INHERITS)
    path = config(text, name)
    with pytest.raises(SyntaxError) as error:
        read_config(path.parent / 'mine.py')
    assert (error.value.filename, error.value.lineno) == (str(path), line)


def test_a_variable_between_two_files_is_found(config):
    config(f"{INHERITS}data_root = '/other'", 'between.py')
    with pytest.raises(SettingError, match=r'`data_root` in .*between\.py has no effect: .*base\.py'):
        read_config(config("_base_ = ['between.py']"))


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'data_root': '/nowhere'}, "option 'data_root' has no effect: .*base.py used"),
        (
            {'optim_wraper.optimizer.lr': 5},
            "option 'optim_wraper.optimizer.lr'.*Did you mean 'optim_wrapper'",
        ),
        ({'epochs': 5}, "option 'epochs'"),
        ({'env_cfg.cudnn': True}, '`env_cfg.cudnn`'),
    ],
)
def test_on_the_command_line_it_is_named(config, option, message):
    with pytest.raises(SettingError, match=message):
        read_config(config(INHERITS), {'optim_wrapper.optimizer.lr': 0.2}, option)


def test_overrides_come_one_after_another(config):
    cfg = read_config(
        config(INHERITS), {'optim_wrapper.optimizer.lr': 5}, None, {'optim_wrapper.optimizer.lr': 6}
    )
    assert cfg.optim_wrapper.optimizer.lr == 6


def test_pure_python_style(config):
    config(
        BASE.replace("'Net'", 'Linear').replace('\ndefault', '\nfrom torch.nn import Linear\ndefault', 1),
        'pure.py',
    )
    head = 'from mmengine.config import read_base\nwith read_base():\n    from .pure import *\n'
    cfg = read_config(
        config(f'{head}width = num_classes\nmodel.update(dict(width=width))'), {'work_dir': 'w'}
    )
    assert (cfg.model.width, cfg.work_dir) == (3, 'w')
    with pytest.raises(SettingError, match=r'`data_root` in .*mine\.py has no effect: .*pure\.py used'):
        read_config(config(f"{head}data_root = '/mine'", 'mine.py'))
    with pytest.raises(SettingError, match='nothing reads a setting `optim_wraper`'):
        read_config(config(f'{head}optim_wraper = dict()'))


@pytest.mark.parametrize(
    ('name', 'text'),
    [('mine.json', '{"%s": {"type": "Net"}, "work_dir": "w"}'), ('mine.yaml', '%s:\n  type: Net')],
)
def test_other_formats(config, name, text):
    assert read_config(config(text % 'model', name)).model.type == 'Net'
    with pytest.raises(SettingError, match='`modl`'):
        read_config(config(text % 'modl', name))


def test_the_runner_of_a_config_says_what_it_reads():
    class MyRunner(Runner):
        def __init__(self, students: int = 1, **kwargs) -> None:
            super().__init__(**kwargs)

    assert {'students', 'train_cfg', 'compile'} <= read_by_runner(dict(runner_type=MyRunner))
    assert 'students' not in read_by_runner({})


def test_what_is_saved_beside_a_training_can_be_read_again(config, tmp_path):
    read_config(config(INHERITS)).dump(tmp_path / 'saved.py')
    saved = tmp_path / 'saved.py'
    assert read_config(saved).num_classes == 3
    with pytest.raises(SettingError, match="option 'data_root' has no effect"):
        read_config(saved, dict(data_root='/mine'))
    saved.write_text(saved.read_text().replace('optim_wrapper', 'optim_wraper'))
    with pytest.raises(SettingError, match=r'`optim_wraper` in .*saved'):
        read_config(saved)


def test_a_missing_config_is_named():
    with pytest.raises(FileNotFoundError, match=r"no config 'nowhere\.py'"):
        read_config('nowhere.py')


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'param_scheduler.0.type': 'X'}, r"'param_scheduler\.0\.type' asks for entry 0 of what is no list"),
        ({'rates.7': 1}, 'nothing reads'),
        ({'val_evaluator.3.type': 'X'}, r"'val_evaluator\.3\.type' asks for entry 3 of what is a list of 1"),
        ({'default_hooks.chekpoint.interval': 2}, "`default_hooks.chekpoint` has no `type`.*'checkpoint'"),
    ],
)
def test_what_an_option_asks_for_must_be_there(config, option, message):
    text = "val_evaluator = [dict(type='A')]\ndefault_hooks = dict(checkpoint=dict(type='CheckpointHook'))"
    with pytest.raises(SettingError, match=message):
        read_config(config(INHERITS + text), option)


def test_an_option_that_chooses_the_runner_brings_its_settings(config):
    path = config("_base_ = ['./base.py']\n")
    options = {'runner_type': 'FlexibleRunner', 'strategy.type': 'mmcggm.FSDP2Strategy'}
    assert read_config(path, options).strategy.type == 'mmcggm.FSDP2Strategy'
    with pytest.raises(SettingError, match='strategy'):
        read_config(path, {'strategy.type': 'mmcggm.FSDP2Strategy'})


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What the log is told."""
    messages: list[str] = []
    monkeypatch.setattr('mmcggm.engine.settings.print_log', lambda message, *_: messages.append(message))
    return messages


@pytest.mark.parametrize(
    ('hooks', 'lost'),
    [
        ("[dict(type='mmcggm.BalancingHook')]", 'EMAHook, PreciseBNHook'),
        ("[dict(type='mmpretrain.EMAHook', momentum=0.5)]", 'PreciseBNHook'),
        ('[*_base_.custom_hooks]', None),
        (None, None),
    ],
)
def test_hooks_that_a_list_replaces_are_named(config, told, hooks, lost):
    config("custom_hooks = [dict(type='EMAHook'), dict(type='PreciseBNHook')]", 'base.py')
    read_config(config(INHERITS + ('' if hooks is None else f'custom_hooks = {hooks}')))
    assert len(told) == (lost is not None)
    if lost:
        assert f'base.py, of which {lost} will not run' in told[0] and '*_base_.custom_hooks' in told[0]


def test_another_librarys_files_are_not_the_readers_to_mend(config):
    config("default_scope = 'mmseg'\ndata_root = 'a'\nwork_dir = data_root", 'theirs.py')
    config("_base_ = ['theirs.py']\ndata_root = 'b'", 'base.py')
    assert read_config(config(INHERITS)).work_dir == 'a'
    with pytest.raises(SettingError, match=r'`data_root` in .*mine\.py has no effect'):
        read_config(config(INHERITS + "data_root = 'c'"))


def test_configs_of_mmseg_are_found_by_its_name(config):
    """Also where the package has the name of the maintained continuation."""
    name = 'unet/unet-s5-d16_fcn_4xb4-40k_drive-64x64.py'
    read = read_config(config(f"_base_ = ['mmseg::{name}']"))
    theirs = read_config(Path(mmseg.__file__).parent / '.mim' / 'configs' / name)
    assert read.crop_size == theirs.crop_size == (64, 64) and read.default_scope == 'mmseg'
