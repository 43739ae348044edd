"""Count parameters and operations of a model, of the whole and by module.

    python tools/analysis_tools/get_flops.py configs/cggm/brats_unet.py

PyTorch's FlopCounterMode counts the convolutions, matrix products and attention of a prediction for the first
sample of the test split, which must therefore be there. A multiplication with its addition is one operation,
as OpenMMLab counts them. Guides train and do not predict.
"""

import argparse

from mmcggm.utils.run_tool import run_tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    from mmcggm.utils.launch_arguments import OptionAction

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--depth', type=int, default=4, help='of the table of modules (default: 4)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='as of tools/train.py')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    import torch
    from mmengine.registry import init_default_scope
    from prettytable import PrettyTable
    from torch.utils.flop_counter import FlopCounterMode

    from mmcggm.engine.representations import build_loader
    from mmcggm.engine.settings import read_config
    from mmcggm.models import MultimodalDataPreprocessor
    from mmcggm.registry import MODELS

    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmcggm'))
    model = MODELS.build(cfg.model).eval()
    for module in model.modules():
        if isinstance(module, MultimodalDataPreprocessor):
            module.standardise = False  # by what is known only after a training, and counts for nothing
    cfg.test_dataloader.update(batch_size=1, num_workers=0, persistent_workers=False)
    batch = next(iter(build_loader(cfg, 'test')))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.test_step(batch)
    called = {
        name.partition('.')[2]: sum(counts.values()) // 2
        for name, counts in counter.get_flop_counts().items()
        if '.' in name
    }
    table = PrettyTable(['module', 'parameters', 'operations'], align='r')
    table.align['module'] = 'l'
    for name, module in model.named_modules():
        if name and name.count('.') < args.depth and (parameters := _parameters(module)):
            table.add_row([name, f'{parameters:,}', f'{_operations(module, name, called):,}'])
    guides = _parameters(model.guides) if hasattr(model, 'guides') else 0
    print(table)
    print(f'Parameters: {_parameters(model) - guides:,}, and {guides:,} of guides.')
    print(f'Operations of one sample: {counter.get_total_flops() // 2:,} multiplications with additions.')
    return 0


def _operations(module, name: str, called: dict[str, int]) -> int:
    """Return those of a module; of one that only holds others, such as a dict of encoders, theirs."""
    if name in called:
        return called[name]
    return sum(_operations(child, f'{name}.{part}', called) for part, child in module.named_children())


def _parameters(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


if __name__ == '__main__':
    run_tool(main)
