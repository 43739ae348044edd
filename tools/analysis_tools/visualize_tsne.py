"""Draw t-SNE of what each modality's encoder and the fusion make of a data set, coloured by class.

python tools/analysis_tools/visualize_tsne.py CONFIG CHECKPOINT --out tsne.png
"""

import argparse
from pathlib import Path

from mmcggm.utils.launch_arguments import add_trust
from mmcggm.utils.run_tool import run_tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    from mmcggm.utils.launch_arguments import OptionAction

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of a config whose model is a GuidedModel that classifies')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', type=Path, required=True, help='the picture; its suffix sets the format')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='test', help='default: test')
    parser.add_argument('--max-samples', type=int, default=2000, help='drawn at random (default: 2000)')
    parser.add_argument('--perplexity', type=float, default=30.0, help='of t-SNE (default: 30)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice and of t-SNE (default: 0)')
    parser.add_argument(
        '--device', default=None, help='where the model runs (default: a GPU if there is one)'
    )
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='as of tools/test.py')
    add_trust(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    import numpy as np
    from mmengine.device import get_device
    from mmengine.registry import init_default_scope

    from mmcggm.engine.optim_wrapper import find_guided
    from mmcggm.engine.representations import build_loader, represent
    from mmcggm.engine.settings import read_config
    from mmcggm.guided import load_weights
    from mmcggm.registry import MODELS
    from mmcggm.utils.checkpoints import read_checkpoint
    from mmcggm.visualization.embedding import draw_embeddings, embed
    from mmcggm.visualization.figures import save_figure

    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmcggm'))
    model = find_guided(MODELS.build(cfg.model))
    load_weights(model, read_checkpoint(args.checkpoint, trust=args.trust), args.checkpoint)
    loader = build_loader(cfg, args.split)
    found = represent(model.to(args.device or get_device()).eval(), loader, args.split, fused=True)
    draw = np.random.default_rng(args.seed)
    points = {}
    for name, (vectors, labels) in found.items():
        chosen = draw.permutation(len(vectors))[: args.max_samples]
        points[name] = embed(vectors[chosen], args.perplexity, args.seed), labels[chosen]
    classes = getattr(loader.dataset, 'metainfo', {}).get('classes')
    save_figure(draw_embeddings(points, classes), args.out)
    print(f'Drew {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
