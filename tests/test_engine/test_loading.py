"""What the runner loads and resumes from: data that fits, or an error that names the file."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from mmcggm.guided import strip_guides
from mmcggm.utils.checkpoints import CheckpointError
from tests.tiny import TinyClassifier, tiny_guided, tiny_runner, weights


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The folder of a training of one epoch, and its checkpoint."""
    folder = tmp_path_factory.mktemp('trained')
    tiny_runner(folder, max_epochs=1, param_scheduler=dict(type='LinearLR', end=4)).train()
    return folder / 'epoch_1.pth'


def resume_from(path, folder, **overrides):
    settings = dict(param_scheduler=dict(type='LinearLR', end=4)) | overrides
    tiny_runner(folder, max_epochs=2, load_from=str(path), resume=True, **settings).train()


def changed(trained, path, change):
    """Write the checkpoint as ``change`` leaves it."""
    checkpoint = torch.load(trained, weights_only=False)
    change(checkpoint)
    torch.save(checkpoint, path)
    return path


def test_a_text_in_the_checkpoint_is_not_run(trained, tmp_path):
    marker = tmp_path / 'ran'
    code = f'open({str(marker)!r}, "w")'

    def add(checkpoint):
        checkpoint['meta'] |= dict(config=code, cfg=code)

    resume_from(changed(trained, tmp_path / 'a.pth', add), tmp_path)
    assert (tmp_path / 'epoch_2.pth').exists() and not marker.exists()


def test_the_newest_is_resumed(trained):
    assert find_latest_checkpoint(str(trained.parent)) == str(trained)
    runner = tiny_runner(trained.parent, max_epochs=1, resume=True, param_scheduler=dict(type='LinearLR'))
    runner.train()
    assert runner.epoch == 1 and runner.iter == 4


@pytest.mark.parametrize('entry', ['optimizer', 'message_hub', 'meta'])
def test_weights_alone_are_not_resumed_from(trained, tmp_path, entry):
    path = changed(trained, tmp_path / 'a.pth', lambda checkpoint: checkpoint.pop(entry))
    with pytest.raises(CheckpointError, match=rf"a\.pth' has weights alone.*{entry}.*`load_from`"):
        resume_from(path, tmp_path)


def set_entry(*keys, value):
    def change(checkpoint):
        for key in keys[:-1]:
            checkpoint = checkpoint[key]
        checkpoint[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (set_entry('meta', value=[1]), '`meta`'),
        (set_entry('meta', 'epoch', value='1'), r'`meta\.epoch`'),
        (set_entry('meta', 'iter', value=-1), r'`meta\.iter`'),
        (set_entry('message_hub', value=1), '`message_hub`'),
        (set_entry('message_hub', 'log_scalars', value=[]), r'`message_hub\.log_scalars`'),
        (set_entry('optimizer', value=[]), '`optimizer`'),
        (set_entry('optimizer', 'param_groups', value=[]), 'parameter group'),
        (set_entry('optimizer', 'state', value=1), 'Error'),
        (set_entry('optimizer', 'balancer', 'state', value=1), 'Error'),
        (set_entry('optimizer', 'balancer', 'state', 'other', value=1), 'other'),
        (set_entry('param_schedulers', value=dict()), '`param_schedulers`'),
        (set_entry('param_schedulers', value=[]), '`param_schedulers`'),
        (set_entry('param_schedulers', 0, 'last_step', value='x'), r'`param_schedulers\.0\.last_step`'),
        (
            set_entry('param_schedulers', 0, 'base_values', value=[1, 2]),
            r'`param_schedulers\.0\.base_values`',
        ),
        (set_entry('state_dict', value=1), 'holds no weights'),
    ],
)
def test_states_of_another_kind_are_named(trained, tmp_path, change, named):
    path = changed(trained, tmp_path / 'a.pth', change)
    with pytest.raises(CheckpointError, match=named) as error:
        resume_from(path, tmp_path)
    assert 'a.pth' in str(error.value)


@pytest.mark.parametrize(('name', 'value'), [('score', torch.ones(3)), ('updates', '4')])
def test_a_balancers_state_of_another_kind_is_named(trained, tmp_path, name, value):
    path = changed(
        trained, tmp_path / 'a.pth', set_entry('optimizer', 'balancer', 'state', name, value=value)
    )
    with pytest.raises(ValueError, match=rf'`balancer\.CGGM\.{name}` in the state that was loaded'):
        resume_from(path, tmp_path)


def test_a_training_whose_modalities_changed_places_is_not_resumed(trained, tmp_path):
    def swap(checkpoint):  # as a config leads to whose names were sorted
        state = checkpoint['state_dict']
        order = sorted(
            state, key=lambda name: (not name.startswith('model.right_encoder'), list(state).index(name))
        )
        checkpoint['state_dict'] = {name: state[name] for name in order}

    path = changed(trained, tmp_path / 'a.pth', swap)
    with pytest.raises(
        CheckpointError, match=r"'model\.right_encoder\.weight' the model has 'model\.left_encoder"
    ):
        resume_from(path, tmp_path / 'training')
    # The weights alone are as good as ever.
    tiny_runner(tmp_path / 'begun', max_epochs=1, load_from=str(path)).train()


@pytest.mark.parametrize('resume', [True, False])
def test_weights_that_do_not_fit_are_an_error(trained, tmp_path, resume):
    path = changed(trained, tmp_path / 'a.pth', lambda c: c['state_dict'].pop('model.classifier.weight'))
    runner = tiny_runner(
        tmp_path, load_from=str(path), resume=resume, param_scheduler=dict(type='LinearLR', end=4)
    )
    with pytest.raises(CheckpointError, match=r'1 of the model are missing: model\.classifier\.weight'):
        runner.train()


def test_a_training_may_begin_with_what_fits(trained, tmp_path):
    path = changed(trained, tmp_path / 'a.pth', lambda c: c['state_dict'].pop('model.classifier.weight'))
    lenient = dict(load_from=str(path), cfg=Config(dict(strict_load=False)))
    runner = tiny_runner(tmp_path / 'training', max_epochs=1, **lenient)
    runner.train()
    assert (tmp_path / 'training' / 'epoch_1.pth').exists()
    # Elsewhere all must fit.
    for settings in (lenient, lenient | dict(resume=True)):
        runner = tiny_runner(tmp_path / 'other', param_scheduler=dict(type='LinearLR', end=4), **settings)
        with pytest.raises(CheckpointError, match='missing'):
            runner.train() if runner._resume else runner.load_checkpoint(str(path))


def test_weights_without_guides_begin_a_training(trained, tmp_path):
    torch.save(strip_guides(torch.load(trained, weights_only=False)), tmp_path / 'plain.pth')
    inner = torch.load(tmp_path / 'plain.pth')['state_dict']
    model = tiny_guided()
    runner = tiny_runner(tmp_path, model=model)
    runner.load_checkpoint(str(tmp_path / 'plain.pth'))
    assert all(torch.equal(value, inner[name]) for name, value in model.model.state_dict().items())
    plain = TinyClassifier()
    runner = tiny_runner(
        tmp_path, model=plain, hooks=[], optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1))
    )
    runner.load_checkpoint(str(trained))
    assert torch.equal(weights(plain), weights(model.model))


def test_averaged_weights_are_loaded_and_resumed(tmp_path):
    average = dict(hooks=[dict(type='EMAHook', momentum=0.1), dict(type='BalancingHook')])
    tiny_runner(tmp_path, max_epochs=1, **average).train()
    path = str(tmp_path / 'epoch_1.pth')
    saved = torch.load(path, weights_only=False)
    runner = tiny_runner(tmp_path, max_epochs=1, load_from=path, resume=True, **average)
    runner.train()
    state, own = runner.model.state_dict(), saved['ema_state_dict']
    assert all(torch.equal(value, own[f'module.{name}']) for name, value in state.items())
    runner = tiny_runner(tmp_path)
    runner.load_checkpoint(path)
    averaged = runner.model.state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in saved['state_dict'].items())
    assert not torch.equal(averaged['model.classifier.weight'], state['model.classifier.weight'])


def test_another_methods_training_is_still_refused(trained, tmp_path):
    with pytest.raises(CheckpointError, match='training with CGGM, but'):
        resume_from(
            trained,
            tmp_path,
            optim_wrapper=dict(
                type='BalancedOptimWrapper', optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='OGM')
            ),
        )
