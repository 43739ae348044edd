"""Tell what mmcggm runs on: versions, devices, what extras lack, and whether a config's data is there.

    python tools/doctor.py configs/cggm/brats_unet.py

Exits with 1 if a package that is always needed is absent, too old or broken, or if data can't be read.
"""

import argparse
import os
import platform
from importlib import import_module
from pathlib import Path

from prettytable import PrettyTable

import mmcggm
from mmcggm.utils.installation import extras, packages
from mmcggm.utils.run_tool import run_tool

# What a package of another build, such as a torchvision for another torch, breaks at import.
COMPILED = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'transformers')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', metavar='CONFIG', help='a config whose data sets are built')
    return parser.parse_args()


def print_packages() -> bool:
    """Print what is always needed, and say whether all of it is there."""
    table = PrettyTable(['package', 'needed', 'installed', 'state'], align='l')
    needed = packages()
    for package in needed:
        state = 'fine' if package.is_enough else 'too old' if package.installed else 'absent'
        table.add_row([package.name, package.needed, package.installed or '–', state])
    print(table)
    complete = all(package.is_enough for package in needed)
    if not complete:
        print('Install what is absent or too old: pip install --upgrade mmcggm')
    return complete


def print_imports() -> bool:
    """Import what often does not fit together, print what fails, and say whether nothing does."""
    broken = False
    for name in COMPILED:
        try:
            import_module(name)
        except Exception as error:
            print(f'{name} is installed, but cannot be imported: {type(error).__name__}: {error}')
            broken = True
    if broken:
        print('Install packages that fit each other, such as torch and torchvision from one index.')
    return not broken


def print_extras() -> None:
    table = PrettyTable(['extra', 'brings', 'lacks', 'to install it'], align='l', max_width=44)
    for extra in extras():
        brought = packages(extra)
        lacking = [package.name for package in brought if not package.is_enough]
        command = f"pip install 'mmcggm[{extra}]'" if lacking else ''
        table.add_row([extra, ', '.join(p.name for p in brought), ', '.join(lacking) or 'nothing', command])
    print(table)


def print_devices() -> None:
    import torch

    print(f'CPU: {os.cpu_count()} cores, of which torch uses {torch.get_num_threads()}')
    if not torch.accelerator.is_available():
        print('Accelerator: none that this torch can use, so everything runs on the CPU')
        return
    kind = torch.accelerator.current_accelerator().type
    for index in range(torch.accelerator.device_count()):
        # Other kinds of accelerators have no such properties.
        properties = torch.cuda.get_device_properties(index) if kind == 'cuda' else None
        memory = f': {properties.name}, {properties.total_memory / 2**30:.0f} GiB' if properties else ''
        print(f'Accelerator: {kind}:{index}{memory}')


def print_data(config: str) -> bool:
    """Build the data sets of a config, print what each holds or lacks, and say whether all are there."""
    from mmengine.registry import init_default_scope

    from mmcggm.engine.settings import read_config
    from mmcggm.registry import DATASETS

    cfg = read_config(config)
    init_default_scope(cfg.get('default_scope', 'mmcggm'))
    complete = True
    for loader in filter(cfg.get, LOADERS):
        try:
            print(f'{config}, {loader}: {len(DATASETS.build(cfg[loader].dataset))} samples')
        except (OSError, ValueError, ImportError) as error:  # a data set says what is wrong and what to do
            print(f'{config}, {loader}: {error}')
            complete = False
    return complete


def main() -> int:
    args = parse_args()
    folder = Path(mmcggm.__file__).parent
    print(f'mmcggm {mmcggm.__version__} in {folder}')
    print(f'Python {platform.python_version()} on {platform.platform()}')
    complete = print_packages() and print_imports()
    print_extras()
    if not complete:
        print('Something is wrong: see above.')
        return 1
    print_devices()
    for config in args.configs:
        complete &= print_data(config)
    print('All is well.' if complete else 'Something is wrong: see above.')
    return 0 if complete else 1


if __name__ == '__main__':
    run_tool(main)
