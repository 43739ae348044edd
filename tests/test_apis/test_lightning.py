"""Under Lightning's trainer a model moves as in the plain loop."""

import functools

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from tests.test_apis.loops import (
    assert_same,
    balanced_fusion,
    double_batches,
    fusion,
    parameters_of,
    train_plainly,
)

lightning = pytest.importorskip('lightning.pytorch')

from mmcggm.apis.lightning import BalanceCallback  # noqa: E402

adamw = functools.partial(torch.optim.AdamW, lr=0.01)
sgd = functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9)
lbfgs = functools.partial(torch.optim.LBFGS, lr=0.1, max_iter=3)


class Module(lightning.LightningModule):
    def __init__(self, make, manual=False):
        super().__init__()
        self.net, self.make = fusion(), make
        self.automatic_optimization = not manual
        self.balanced, self.drop, self.ends = None, -1, []

    def loss(self, x, label):
        return nn.functional.cross_entropy(self.net(x), label)

    def training_step(self, batch, index):
        if self.automatic_optimization:
            return None if index == self.drop else dict(loss=self.loss(*batch))
        with self.balanced.watch(batch[1]):
            loss = self.loss(*batch)
        self.manual_backward(self.balanced.loss(loss))
        self.optimizers().step()
        self.optimizers().zero_grad()
        return None

    def on_train_batch_end(self, *args):
        self.ends.append(parameters_of(self.net))

    def configure_optimizers(self):
        optimizer = self.make(self.parameters())
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)]


def trainer(callback, **settings):
    quiet = dict.fromkeys(
        ('logger', 'enable_checkpointing', 'enable_progress_bar', 'enable_model_summary'), False
    )
    return lightning.Trainer(accelerator='cpu', callbacks=[callback], **quiet, **settings)


def fit(module, callback, batches, **settings):
    trainer(callback, max_epochs=1, **settings).fit(module, DataLoader(batches, batch_size=None))
    return parameters_of(module)


def of_module(make, manual=False, **changes):
    module = Module(make, manual)
    module.balanced = balanced_fusion(
        module, 'net.', method=dict(type='CGGM', lam=0.2, rho='neutral'), **changes
    )
    return module


def plainly(make, batches, **settings):
    balanced = balanced_fusion(method=dict(type='CGGM', lam=0.2, rho='neutral'))
    return train_plainly(balanced, make, batches, **settings)


@pytest.mark.parametrize('make', [adamw, sgd])
def test_automatic_optimization(make):
    batches = double_batches(20)
    module = of_module(make)
    found = fit(module, BalanceCallback(module.balanced, target=1), batches, gradient_clip_val=0.5)
    assert_same(found, plainly(make, batches, clip=0.5))
    assert 'training_step' not in vars(module)
    assert module.balanced.clock.progress == pytest.approx(1.0)


def test_micro_batches():
    batches = double_batches(20)
    module = of_module(adamw)
    found = fit(module, BalanceCallback(module.balanced, target=1), batches, accumulate_grad_batches=2)
    assert_same(found, plainly(adamw, batches, parts=2))


@pytest.mark.parametrize('make', [adamw, sgd])
def test_manual_optimization(make):
    batches = double_batches(20)
    module = of_module(make, manual=True)
    assert_same(fit(module, BalanceCallback(module.balanced), batches), plainly(make, batches))


def test_balancing_matters():
    batches = double_batches(20)
    module = of_module(adamw)
    found = fit(module, BalanceCallback(module.balanced, target=1), batches)
    off = balanced_fusion(method=dict(type='CGGM', direction='none', magnitude='none'))
    expected = train_plainly(off, adamw, batches)
    assert max((a - b).abs().max() for a, b in zip(found, expected, strict=True)) > 1e-3


def test_several_evaluations_a_step_count_once():
    """As where each evaluation of LBFGS begins with the state of the step before."""
    batches = double_batches(6)
    module = of_module(lbfgs)
    found = fit(module, BalanceCallback(module.balanced, target=1), batches)
    balanced = balanced_fusion(method=dict(type='CGGM', lam=0.2, rho='neutral'))
    model = balanced.model
    optimizer = balanced.prepare(lbfgs(model.parameters()))
    for x, label in batches:

        def closure(x=x, label=label):
            optimizer.zero_grad()
            with balanced.watch(label):
                loss = nn.functional.cross_entropy(model(x), label)
            total = balanced.loss(loss)
            total.backward()
            balanced.scale()
            return total

        optimizer.step(closure)
    assert_same(found, parameters_of(model))
    assert module.balanced.balancer.updates == len(batches)


def test_a_dropped_batch_leaves_no_trace():
    batches = double_batches(5)
    module = of_module(sgd)
    module.drop = 2
    fit(module, BalanceCallback(module.balanced, target=1), batches)
    assert module.balanced.balancer.updates == 4


def test_state_goes_on_where_it_stopped(tmp_path):
    batches, results = double_batches(4), []
    for epochs in ([2], [1, 2]):
        checkpoint = None
        for until in epochs:
            module = of_module(adamw, updates=8)
            task = trainer(BalanceCallback(module.balanced, target=1), max_epochs=until)
            task.fit(module, DataLoader(batches, batch_size=None), ckpt_path=checkpoint)
            checkpoint = tmp_path / f'{until}.ckpt'
            task.save_checkpoint(checkpoint)
        results.append((parameters_of(module), module.balanced.stats(), module.balanced.clock))
    assert_same(results[1][0], results[0][0])
    assert results[1][1:] == results[0][1:]
    assert results[0][2].progress == pytest.approx(1.0)


def test_what_is_forgotten_is_noticed():
    class Two(Module):
        def configure_optimizers(self):
            return [sgd(self.net.parameters()), sgd(self.net.parameters())]

    module = of_module(adamw)
    with pytest.raises(ValueError, match=r'Nothing says where the target is'):
        fit(module, BalanceCallback(module.balanced), double_batches(1))
    two = Two(sgd, manual=True)
    balanced = balanced_fusion(two, 'net.')
    with pytest.raises(ValueError, match='returned 2 optimizers'):
        fit(two, BalanceCallback(balanced), double_batches(1))
    module = of_module(adamw, manual=True)
    module.make = lambda parameters: adamw(module.net.parameters())
    with pytest.raises(ValueError, match='has not the parameters of the guides'):
        fit(module, BalanceCallback(module.balanced), double_batches(1))


@pytest.mark.parametrize(('precision', 'dtype'), [('bf16-true', torch.bfloat16), ('64-true', torch.float64)])
def test_a_module_whose_precision_is_changed_takes_its_guides_along(precision, dtype):
    module = Module(sgd).float()
    balanced = balanced_fusion(module, 'net.')
    fit(module, BalanceCallback(balanced, target=1), double_batches(2), precision=precision)
    assert {p.dtype for p in module.parameters()} == {dtype}
    assert all(p.isfinite().all() for p in balanced.guides.parameters())
