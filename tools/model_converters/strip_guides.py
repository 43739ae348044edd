"""Write a checkpoint of the plain model: ``python tools/model_converters/strip_guides.py CHECKPOINT OUT``."""

import argparse

import torch
from mmengine.runner import CheckpointLoader

from mmcggm.guided import strip_guides
from mmcggm.utils.atomic import replacing


def main() -> None:
    parser = argparse.ArgumentParser(description='Write a checkpoint of the model without its guides')
    parser.add_argument('checkpoint', help='checkpoint of a GuidedModel')
    parser.add_argument('out', help='checkpoint to write; it loads into the plain model')
    args = parser.parse_args()
    try:
        stripped = strip_guides(CheckpointLoader.load_checkpoint(args.checkpoint, map_location='cpu'))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'{args.checkpoint}: {error}') from error
    with replacing(args.out) as temporary:
        torch.save(stripped, temporary)
    print(f'{args.out}: {len(stripped["state_dict"])} tensors')


if __name__ == '__main__':
    main()
