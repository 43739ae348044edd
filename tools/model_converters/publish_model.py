"""Write a checkpoint to share: weights and what they are of, named by their hash.

    python tools/model_converters/publish_model.py work_dirs/cggm/mfeat/epoch_36.pth mfeat_cggm.pth

Optimizer, schedules, message hub and the control's guides are left out, and with --strip-guides the guides.
``mfeat_cggm-{first eight of the SHA-256}.pth`` holds data alone. An EMA's weights are those that a checkpoint
of MMEngine's EMAHook holds as its own, and so are published.
"""

import argparse
import io
from hashlib import sha256
from pathlib import Path

from mmcggm.utils.launch_arguments import add_trust
from mmcggm.utils.run_tool import run_tool


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('in_file', type=Path, help='checkpoint of a training')
    parser.add_argument('out_file', type=Path, help='file to write; its hash is added to its name')
    parser.add_argument('--strip-guides', action='store_true', help='for a plain model, without guides')
    add_trust(parser)
    args = parser.parse_args(argv)
    import torch

    from mmcggm.guided import strip_guides
    from mmcggm.utils.atomic import replacing
    from mmcggm.utils.checkpoints import CheckpointError, read_checkpoint, weights_of

    checkpoint = read_checkpoint(args.in_file, trust=args.trust)
    published = dict(state_dict=weights_of(checkpoint, str(args.in_file)))
    if published['state_dict'] is not checkpoint:  # which is more than weights
        published = {name: checkpoint[name] for name in ('meta', 'state_dict') if name in checkpoint}
    if args.strip_guides:
        try:
            published = strip_guides(published)
        except ValueError as error:
            raise CheckpointError(f"'{args.in_file}': {error}") from error
    buffer = io.BytesIO()
    torch.save(published, buffer)
    content = buffer.getvalue()
    out = args.out_file.with_name(f'{args.out_file.stem}-{sha256(content).hexdigest()[:8]}.pth')
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_bytes(content)
    print(f'{out} ({len(content) / 1e6:.1f} MB, of {args.in_file.stat().st_size / 1e6:.1f} MB)')
    return 0


if __name__ == '__main__':
    run_tool(main)
