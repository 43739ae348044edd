"""ReLearning against its definition."""

import copy
import math

import pytest
import torch
from mmengine.dataset import default_collate
from sklearn.cluster import KMeans

from mmcggm.balancers import Clock, ReLearning
from mmcggm.balancers.methods.relearning import k_means, purity, separability
from mmcggm.guided.survey import survey
from tests.many import many_batches, many_guided
from tests.tiny import Accuracy, TinyData, build_wrapper, classifier_guided, tiny_guided, tiny_runner

SGD = dict(type='SGD', lr=0.1)


def blobs(spread, size=90, classes=3, seed=0):
    """Return vectors around the corners of a simplex, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(size) % classes
    noise = torch.randn(size, 4, generator=generator)
    return torch.eye(classes, 4)[labels] + spread * noise, labels


def validating(tmp_path, model, balancer, **overrides):
    """Return a runner with a validation set of other samples."""
    loader = dict(batch_size=16, num_workers=0, collate_fn=default_collate)
    settings = dict(
        model=model,
        optim_wrapper=dict(
            type='BalancedOptimWrapper',
            constructor='GuidedOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
            balancer=balancer,
        ),
        val_dataloader=dict(
            dataset=TinyData(40), sampler=dict(type='DefaultSampler', shuffle=False), **loader
        ),
        val_cfg=dict(),
        val_evaluator=[Accuracy()],
    )
    return tiny_runner(tmp_path, **{**settings, **overrides})


def test_purity_counts_the_majority_of_each_cluster():
    clusters, labels = torch.tensor([0, 0, 0, 2, 2, 2, 2]), torch.tensor([1, 1, 0, 0, 0, 3, 1])
    assert purity(clusters, labels) == pytest.approx((2 + 2) / 7)


@pytest.mark.parametrize('spread', [0.05, 0.3])
def test_clusters_are_as_good_as_those_of_scikit_learn(spread):
    points, labels = blobs(spread)
    expected = torch.as_tensor(KMeans(3, n_init=10, random_state=0).fit_predict(points.numpy())).long()
    assert purity(k_means(points, 3), labels) == pytest.approx(purity(expected, labels), abs=0.05)


def test_more_clusters_than_distinct_points():
    assert len(set(k_means(torch.ones(5, 2), 3).tolist())) == 1


def test_what_separates_is_told_from_what_does_not_whatever_its_scale():
    points, labels = blobs(0.05)
    labels = 10 * labels + 7  # any numbers
    assert separability(points, labels) == 1
    assert separability(points * torch.tensor([1e3, 1, 1e-3, 0]) + 5, labels) == 1
    assert separability(points, labels[torch.randperm(90, generator=torch.Generator().manual_seed(0))]) < 0.6


@pytest.mark.parametrize('count', [2, 3, 6])
def test_encoders_go_back_as_far_as_they_overfit(count):
    guided, data = many_guided(count), many_batches(count, 6)
    good, bad = blobs(0.05), blobs(5.0)
    config = dict(type='ReLearning', lam=2.0, interval=1, times=1)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=config)
    balancer = wrapper.balancer
    survey = {'train': [good] * count, 'val': [good] * (count - 1) + [bad]}.__getitem__
    wrapper.attach(guided, Clock(), survey)
    begun = copy.deepcopy(guided.model)
    for batch in data:
        guided.train_step(batch, wrapper)
    learnt = copy.deepcopy(guided.model)
    balancer.end_epoch()

    gap = 1 - separability(*bad)
    alpha = torch.tanh(torch.tensor(2 * gap))
    assert alpha > 0.5
    torch.testing.assert_close(balancer.stats['gap'], torch.tensor([*[0.0] * (count - 1), gap]))
    for name, parameter in guided.model.named_parameters():
        old, new = begun.get_parameter(name), learnt.get_parameter(name)
        share = alpha if name.startswith(f'encoders.{count - 1}') else 0
        torch.testing.assert_close(parameter, (1 - share) * new + share * old)


def test_it_happens_at_intervals_a_few_times_and_while_active():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='ReLearning', interval=2, times=2))
    balancer, asked = wrapper.balancer, []

    def answer(split):
        asked.append((epoch, split))
        return [blobs(0.1)] * 2

    wrapper.attach(guided, Clock(), answer)
    guided.train_step(batch, wrapper)
    for epoch in range(1, 12):
        balancer.active = epoch > 2
        balancer.end_epoch()
    assert asked == [(4, 'train'), (4, 'val'), (6, 'train'), (6, 'val')]


@pytest.mark.parametrize('epochs', [4, 12, 13])
def test_a_fraction_as_interval_holds_for_a_training_of_any_length(epochs):
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='ReLearning', interval=1 / 4, times=3))
    clock, balancer, done = Clock(), wrapper.balancer, []
    wrapper.attach(guided, clock, lambda split: [blobs(0.1)] * 2)
    guided.train_step(batch, wrapper)
    for iteration in range(5 * epochs):  # five an epoch
        clock.iteration, clock.progress = iteration, iteration / (5 * epochs)
        if iteration % 5 == 4:
            balancer.end_epoch()
            done.append(balancer.done)
    assert [done.index(time) + 1 for time in (1, 2, 3)] == [math.ceil(epochs * k / 4) for k in (1, 2, 3)]


def test_a_survey_sees_all_samples_in_evaluation_mode():
    guided, data = many_guided(2), many_batches(2, 3)
    guided.model.encoders[0] = torch.nn.Sequential(guided.model.encoders[0], torch.nn.Dropout(0.9))
    guided.encoders = many_guided(2).encoders
    found = survey(guided, data)
    x, labels = (torch.cat([batch[name] for batch in data]) for name in ('x', 'label'))
    for index, (vectors, classes) in enumerate(found):
        expected = guided.model.encoders[index].eval()(x[:, index])
        torch.testing.assert_close(vectors, expected.detach())
        assert torch.equal(classes, labels) and not vectors.requires_grad
    assert guided.training


def test_a_runner_resumes_as_if_uninterrupted(tmp_path):
    models = [classifier_guided() for _ in range(2)]
    settings = dict(balancer=dict(type='ReLearning', interval=2, times=1))
    whole = validating(tmp_path / 'whole', models[0], **settings, max_epochs=3)
    whole.train()
    assert 0 < whole.optim_wrapper.balancer.stats['alpha'].max() < 1
    assert 'train/balance/alpha/right' in whole.message_hub.log_scalars

    validating(tmp_path / 'cut', models[1], **settings, max_epochs=1).train()
    model = classifier_guided()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # the beginning comes from the checkpoint
    last = dict(resume=True, load_from=str(tmp_path / 'cut/epoch_1.pth'))
    resumed = validating(tmp_path / 'cut', model, **settings, max_epochs=3, **last)
    resumed.train()
    for new, old in zip(model.parameters(), models[0].parameters(), strict=True):
        torch.testing.assert_close(new, old)


def test_without_a_validation_set_or_classes_it_is_refused(tmp_path):
    config = dict(type='ReLearning')
    with pytest.raises(ValueError, match='val_dataloader'):
        validating(
            tmp_path, classifier_guided(), config, val_dataloader=None, val_cfg=None, val_evaluator=None
        ).train()
    with pytest.raises(ValueError, match='TinyTask has no class'):
        validating(tmp_path, tiny_guided(), config).train()


@pytest.mark.parametrize('wrong', [dict(lam=0), dict(interval=0), dict(interval=1.5), dict(times=0)])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReLearning(**wrong)
