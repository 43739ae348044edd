"""Models of other people's packages, as they are: torchvision, transformers and MONAI."""

import copy

import pytest
import torch
import torchvision
from mmengine.model import BaseModel, ModuleDict
from monai.networks.nets import Transchex
from torch import Tensor, nn
from torch.utils.data import IterableDataset
from transformers import LxmertConfig, LxmertForQuestionAnswering, Trainer, TrainingArguments

import mmcggm
from mmcggm.apis.transformers import BalanceCallback
from mmcggm.guided import GuidedModel
from tests.test_apis.loops import assert_same, parameters_of
from tests.tiny import build_wrapper

METHOD = dict(
    type='CGGM', rho='neutral', lam=0.1, magnitude='gradient', progress=dict(type='SmoothedProgress')
)
SGD = dict(type='SGD', lr=0.01, momentum=0.9)


class TwoStream(nn.Module):
    """RGB and optical flow, half a SqueezeNet each, and a linear layer (Simonyan and Zisserman, 2014)."""

    def __init__(self) -> None:
        super().__init__()
        self.rgb = torchvision.models.squeezenet1_1().features[:5]
        self.flow = torchvision.models.squeezenet1_1().features[:5]
        self.flow[0] = nn.Conv2d(2, 64, kernel_size=3, stride=2)
        self.fc = nn.Linear(2 * 128, 3)

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        return self.fc(torch.cat([self.rgb(rgb).mean((2, 3)), self.flow(flow).mean((2, 3))], dim=1))


class InMMEngine(BaseModel):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb, flow, label, mode='tensor'):
        logits = self.net(rgb, flow)
        return dict(loss=nn.functional.cross_entropy(logits, label)) if mode == 'loss' else logits


def clips(count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 3, (count, 6), generator=generator)
    found = []
    for own in label:
        rgb, flow = (torch.randn(6, c, 32, 32, generator=generator, dtype=torch.float64) for c in (3, 2))
        found.append(dict(rgb=rgb + own[:, None, None, None], flow=flow, label=own))
    return found


def test_two_streams_of_torchvision_move_as_through_mmengine():
    torch.manual_seed(0)
    net = TwoStream().double()
    other = copy.deepcopy(net)
    batches = clips(20)
    sample = (
        batches[0]['rgb'],
        batches[0]['flow'],
    )  # of a Fire module the last layer makes a half of the channels
    encoders = dict(rgb='rgb', flow='flow')
    balanced = mmcggm.balance(net, encoders, 'fc', 'classification', METHOD, sample=sample)
    guided = GuidedModel(
        InMMEngine(other),
        dict(rgb='net.rgb', flow='net.flow'),
        'net.fc',
        task=dict(type='ClassificationTask', target='label'),
        guide=dict(type='AutoGuide', in_channels=128),
    )
    guided.guides = ModuleDict(copy.deepcopy(dict(balanced.guides.items())))
    wrapper = build_wrapper(guided, balancer=METHOD, optimizer=SGD, guide_optimizer=SGD)
    optimizer = balanced.prepare(torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9))
    start = parameters_of(net)
    for batch in batches:
        guided.train_step(batch, wrapper)
        with balanced.watch(batch['label']):
            loss = nn.functional.cross_entropy(net(batch['rgb'], batch['flow']), batch['label'])
        balanced.loss(loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    balanced.remove()
    assert_same(parameters_of(net), parameters_of(other))
    assert max((a - b).abs().max() for a, b in zip(net.parameters(), start, strict=False)) > 1e-2


def lxmert() -> LxmertForQuestionAnswering:
    torch.manual_seed(0)
    config = LxmertConfig(
        vocab_size=30, hidden_size=16, num_attention_heads=2, intermediate_size=16, l_layers=2, r_layers=1,
        x_layers=1, visual_feat_dim=6, num_qa_labels=3, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return LxmertForQuestionAnswering(config)


class InOrder(IterableDataset):
    def __init__(self, samples: list[dict[str, Tensor]]) -> None:
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


LXMERT = dict(
    text=dict(modules=['lxmert.embeddings', 'lxmert.encoder.layer'], representation='lxmert.encoder.layer.1'),
    image=dict(
        modules=['lxmert.encoder.visn_fc', 'lxmert.encoder.r_layers'],
        representation='lxmert.encoder.r_layers.0',
    ),
)


def questions(count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        dict(
            input_ids=torch.randint(1, 30, (5,), generator=generator),
            visual_feats=torch.randn(4, 6, generator=generator),
            visual_pos=torch.rand(4, 4, generator=generator),
            labels=torch.randint(0, 3, (), generator=generator),
        )
        for _ in range(count)
    ]


def test_lxmert_moves_in_the_trainer_as_in_a_plain_loop(tmp_path):
    data, results = questions(40), []
    for in_trainer in (True, False):
        model = lxmert()
        balanced = mmcggm.balance(
            model, LXMERT, 'answer_head.logit_fc.3', 'classification', METHOD, target='labels'
        )
        if in_trainer:
            arguments = TrainingArguments(
                str(tmp_path), per_device_train_batch_size=4, max_steps=10, learning_rate=0.05, optim='sgd',
                lr_scheduler_type='constant', use_cpu=True, report_to='none', save_strategy='no',
                logging_strategy='no', disable_tqdm=True, max_grad_norm=1.0,
            )  # fmt: skip
            Trainer(
                model, arguments, train_dataset=InOrder(data), callbacks=[BalanceCallback(balanced)]
            ).train()
        else:
            model.train()
            optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.05))
            for start in range(0, 40, 4):
                batch = {name: torch.stack([d[name] for d in data[start : start + 4]]) for name in data[0]}
                with balanced.watch():
                    output = model(**batch)
                balanced.loss(output).backward()
                balanced.scale()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        results.append(parameters_of(model))
        assert set(balanced.stats()) >= {'B/text', 'B/image'}
    assert_same(*results)


@pytest.fixture
def transchex(tmp_path) -> Transchex:
    """A network of X-rays and reports, which reads its text encoder's weights from a file, here of none."""
    torch.save({}, tmp_path / 'pytorch_model.bin')
    torch.manual_seed(0)
    return Transchex(
        in_channels=1, img_size=(16, 16), patch_size=(8, 8), num_classes=3, num_language_layers=1,
        num_vision_layers=1, num_mixed_layers=1, hidden_size=16, num_attention_heads=2, intermediate_size=16,
        vocab_size=30, max_position_embeddings=16, path_or_repo_id=str(tmp_path),
    )  # fmt: skip


def test_transchex_of_monai_is_balanced(transchex):
    encoders = dict(
        report=['multimodal.embeddings', 'multimodal.language_encoder.0'],
        image=['vision_proj', 'norm_vision_pos', 'multimodal.vision_encoder.0'],
    )
    batch = dict(
        input_ids=torch.randint(1, 30, (8, 5), generator=torch.Generator().manual_seed(0)),
        vision_feats=torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(1)),
    )
    labels = batch['input_ids'].sum(1) % 3
    balanced = mmcggm.balance(transchex, encoders, 'cls_head', 'classification', sample=batch)
    optimizer = balanced.prepare(torch.optim.AdamW(transchex.parameters(), lr=3e-3))
    before, losses = copy.deepcopy(balanced.balancer.encoders), []
    for _ in range(15):
        with balanced.watch(labels) as seen:
            loss = nn.functional.cross_entropy(transchex(**batch), labels)
        balanced.loss(loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append([float(loss.detach()), *map(float, seen.guide_losses)])
    assert all(last < first for first, last in zip(losses[0], losses[-1], strict=True))
    for old, new in zip(before, balanced.balancer.encoders, strict=True):
        assert not any(torch.equal(a, b) for a, b in zip(old[:2], new[:2], strict=True))
    assert balanced.stats()['B/report'] + balanced.stats()['B/image'] == pytest.approx(1.0)
