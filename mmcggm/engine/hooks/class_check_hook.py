"""A network that cannot tell all classes of its data is an error before it runs."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch.utils.data import DataLoader

from mmcggm.registry import HOOKS


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compares ``num_classes`` of each segmentation head, guides' included, with the ``classes`` of the data.

    Raises:
        ValueError: Before training, validation or test, if a head has fewer. The message names the setting.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data."""
        self._check(runner, runner.train_dataloader, 'train_dataloader')

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        self._check(runner, runner.val_dataloader, 'val_dataloader')

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        self._check(runner, runner.test_dataloader, 'test_dataloader')

    def _check(self, runner: Runner, dataloader: DataLoader, key: str) -> None:
        classes = getattr(dataloader.dataset, 'metainfo', {}).get('classes', ())
        for name, module in runner.model.named_modules():
            if isinstance(module, BaseDecodeHead) and module.num_classes < len(classes):
                raise ValueError(
                    f'`num_classes` of {name} is {module.num_classes}, but the data of `{key}` have '
                    f'{len(classes)} '
                    f'classes: {", ".join(classes)}. Set `num_classes={len(classes)}` in the config of the '
                    'decode head and of the guide, and `class_weight`, if there is one, to as many.'
                )
