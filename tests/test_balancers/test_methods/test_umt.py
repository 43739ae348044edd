"""UMT: encoders learn what their teachers, trained alone, know."""

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import UMT
from mmcggm.utils.checkpoints import CheckpointError
from tests.many import many_batches, many_guided
from tests.tiny import build_wrapper, classifier_guided, tiny_guided, tiny_runner, weights, wrapper_config


def taught(teachers, modalities=2):
    return classifier_guided(
        model=dict(type='ManyClassifier', modalities=modalities),
        encoders={f'm{i}': f'encoders.{i}' for i in range(modalities)},
        teachers=teachers,
    )


@pytest.fixture
def checkpoints(tmp_path):
    """Two trainings: of a GuidedModel with one modality alone, and of a plain model."""
    paths = {}
    for name in ('m0', 'm1'):
        guided = many_guided(2, only=name)
        wrapper = build_wrapper(guided, balancer=None)
        for batch in many_batches(2, 10):
            guided.train_step(batch, wrapper)
        state = (guided if name == 'm0' else guided.model).state_dict()
        paths[name] = str(tmp_path / f'{name}.pth')
        torch.save(dict(state_dict=state), paths[name])
    return paths


def test_the_gradient_is_that_of_the_formula(checkpoints):
    guided, (batch,) = taught(checkpoints), many_batches(2, 1)
    model = guided.model
    loss = model(**batch, mode='loss')['loss']
    for index, x in enumerate(batch['x'].unbind(1)):
        state = torch.load(checkpoints[f'm{index}'])['state_dict']
        prefix = f'{"model." if index == 0 else ""}encoders.{index}.'
        teacher = F.linear(x, state[f'{prefix}weight'], state[f'{prefix}bias'])
        loss = loss + 3 * F.mse_loss(model.encoders[index](x), teacher)
    parameters = list(model.parameters())
    grads = torch.autograd.grad(loss, parameters)
    wrapper = build_wrapper(guided, optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='UMT', lam=3))
    before = [p.detach().clone() for p in parameters]
    guided.train_step(batch, wrapper)
    for old, new, grad in zip(before, parameters, grads, strict=True):
        torch.testing.assert_close(new, old - 0.1 * grad)


def test_encoders_come_close_to_their_teachers(checkpoints):
    guided, data = taught(dict(m1=checkpoints['m1'])), many_batches(2, 30)
    wrapper = build_wrapper(guided, balancer=dict(type='UMT'))
    distances = []
    for batch in data:
        guided.train_step(batch, wrapper)
        distances.append(wrapper.balancer.stats['distance'].tolist())
    assert distances[-1][1] < 0.5 * distances[0][1]
    assert all(distance[0] == 0 for distance in distances)  # it has no teacher


def test_teachers_are_not_of_the_model(checkpoints):
    guided, (batch,) = taught(checkpoints), many_batches(2, 1)
    names = list(guided.state_dict())
    wrapper = build_wrapper(guided, balancer=dict(type='UMT'))
    guided.train_step(batch, wrapper)
    assert list(guided.state_dict()) == names
    teacher = weights(guided.teachers._model)
    guided.train_step(batch, wrapper)
    assert torch.equal(weights(guided.teachers._model), teacher)


def test_what_is_missing_is_named(tmp_path, checkpoints):
    (batch,) = many_batches(2, 1)
    with pytest.raises(ValueError, match='lam > 0'):
        UMT(lam=0)
    with pytest.raises(ValueError, match=r"`teachers` names \['audio'\]"):
        taught(dict(audio='x.pth'))
    guided = many_guided(2)
    with pytest.raises(ValueError, match=r'`model\.teachers`'):
        guided.train_step(batch, build_wrapper(guided, balancer=dict(type='UMT')))
    with pytest.raises(FileNotFoundError, match=r'`teachers\.m0`: no checkpoint'):
        taught(dict(m0=str(tmp_path / 'none.pth')))(**batch, mode='loss')
    torch.save(dict(state_dict={}), tmp_path / 'empty.pth')
    with pytest.raises(CheckpointError, match=r'`teachers\.m0`: .*holds no weights'):
        taught(dict(m0=str(tmp_path / 'empty.pth')))(**batch, mode='loss')
    torch.save(dict(state_dict={'encoders.0.other': torch.ones(1)}), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r"`teachers\.m0`.*does not fit the module 'encoders\.0'"):
        taught(dict(m0=str(tmp_path / 'other.pth')))(**batch, mode='loss')


def test_a_trainings_folder_will_do(tmp_path):
    tiny_runner(
        tmp_path,
        max_epochs=1,
        model=tiny_guided(only='left'),
        hooks=[],
        optim_wrapper=wrapper_config(balancer=None),
    ).train()
    guided = tiny_guided(teachers=dict(left=str(tmp_path)))
    runner = tiny_runner(
        tmp_path / 'umt', model=guided, optim_wrapper=wrapper_config(balancer=dict(type='UMT'))
    )
    runner.train()
    teacher = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    found = guided.teachers._model.left_encoder.weight
    assert torch.equal(found, teacher['model.left_encoder.weight'])
