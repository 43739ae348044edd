"""What a guided model answers about a pass."""

import pytest
import torch
from torch.nn import functional as F

from mmcggm.guided.guided_pass import pooled_vector
from tests.tiny import batches, classifier_guided, tiny_guided


@pytest.fixture
def batch():
    return batches(1)[0]


def guided_pass(guided, batch):
    guided(**batch, mode='loss')
    return guided.take_step().guided_pass


def test_unimodal_losses_reach_their_encoder_alone(batch):
    guided = classifier_guided()
    losses = guided_pass(guided, batch).unimodal_losses()
    sum(losses).backward()
    model = guided.model
    for modality, loss in zip(guided.modalities, losses, strict=True):
        encoder = getattr(model, f'{modality}_encoder')
        expected = F.cross_entropy(guided.guides[modality](encoder(batch[modality])), batch['label'])
        torch.testing.assert_close(loss, expected)
        (grad,) = torch.autograd.grad(expected, encoder.weight)
        torch.testing.assert_close(encoder.weight.grad, grad)
    assert all(p.grad is None for p in guided.guides.parameters()) and model.classifier.weight.grad is None


def test_confidences_vectors_and_labels(batch):
    guided = classifier_guided()
    found = guided_pass(guided, batch)
    for modality, confidences, vector in zip(
        guided.modalities, found.confidences(), found.vectors(), strict=True
    ):
        representation = getattr(guided.model, f'{modality}_encoder')(batch[modality])
        torch.testing.assert_close(vector, representation)
        probabilities = guided.guides[modality](representation).softmax(1)
        torch.testing.assert_close(confidences, probabilities[range(16), batch['label']].detach())
    assert torch.equal(found.labels(), batch['label'])
    logits = guided.model(**batch)
    torch.testing.assert_close(found.fused().confidences, logits.softmax(1)[range(16), batch['label']])


def test_a_rerun_sees_changed_representations(batch):
    guided = classifier_guided()
    found = guided_pass(guided, batch)
    loss, confidences, output = found.rerun({0: torch.zeros_like})
    model = guided.model
    logits = model.classifier(torch.tanh(model.right_encoder(batch['right'])))
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch['label']))
    torch.testing.assert_close(output, logits)
    torch.testing.assert_close(confidences, logits.softmax(1)[range(16), batch['label']])
    torch.testing.assert_close(found.confidences_of(output), confidences)
    torch.testing.assert_close(found.rerun({}).loss, found.fused().loss)


def test_a_rerun_is_in_evaluation_mode_and_leaves_no_trace(batch):
    guided = classifier_guided()
    model = guided.model
    model.left_encoder = torch.nn.Sequential(
        model.left_encoder, torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Identity().eval()
    )
    found = guided_pass(guided, batch)
    modes = [module.training for module in model.modules()]
    means = model.left_encoder[1].running_mean.clone()
    first, second = (found.rerun({}).output for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(model.left_encoder[1].running_mean, means)
    assert [module.training for module in model.modules()] == modes


def test_changes_reach_fusion_and_not_the_guides(batch):
    guided = classifier_guided()
    plain = guided(**batch, mode='loss')
    guided.changes = {'left': torch.zeros_like}
    changed = guided(**batch, mode='loss')
    assert not torch.equal(changed['loss'], plain['loss'])
    assert torch.equal(changed['guide_left.loss'], plain['guide_left.loss'])


def test_a_task_without_probabilities_says_so(batch):
    with pytest.raises(ValueError, match='TinyTask has no probabilities'):
        guided_pass(tiny_guided(), batch).confidences()


def test_several_tensors_that_are_no_pyramid_have_no_vector():
    maps = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(pooled_vector((maps, maps[..., :2])), maps[..., :2].mean((2, 3)))
    with pytest.raises(ValueError, match="no levels of a pyramid: pick one with the encoder's `key`"):
        pooled_vector((torch.randn(2, 7, 4), torch.randn(1, 2, 4)))
