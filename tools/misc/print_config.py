"""Print a config, also a benchmark's, with all that it inherits: ``tools/misc/print_config.py CONFIG``."""

import argparse

from mmcggm.utils.launch_arguments import OptionAction
from mmcggm.utils.run_tool import run_tool


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description='Print a config with all that it inherits')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='as of tools/train.py')
    args = parser.parse_args(argv)
    from mmcggm.benchmark import known_settings
    from mmcggm.engine.saved_config import config_text
    from mmcggm.engine.settings import read_config

    print(config_text(read_config(args.config, args.cfg_options, known=known_settings)), end='')
    return 0


if __name__ == '__main__':
    run_tool(main)
