"""Write a checkpoint of the plain model: ``python tools/model_converters/strip_guides.py CHECKPOINT OUT``."""

import argparse

import torch

from mmcggm.guided import strip_guides
from mmcggm.utils.atomic import replacing
from mmcggm.utils.checkpoints import CheckpointError, read_checkpoint
from mmcggm.utils.launch_arguments import add_trust
from mmcggm.utils.run_tool import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description='Write a checkpoint of the model without its guides')
    parser.add_argument('checkpoint', help='checkpoint of a GuidedModel')
    parser.add_argument('out', help='checkpoint to write; it loads into the plain model')
    add_trust(parser)
    args = parser.parse_args()
    checkpoint = read_checkpoint(args.checkpoint, trust=args.trust)
    try:
        stripped = strip_guides(checkpoint)
    except ValueError as error:
        raise CheckpointError(f"'{args.checkpoint}': {error}") from error
    with replacing(args.out) as temporary:
        torch.save(stripped, temporary)
    print(f'{args.out}: {len(stripped["state_dict"])} tensors')


if __name__ == '__main__':
    run_tool(main)
