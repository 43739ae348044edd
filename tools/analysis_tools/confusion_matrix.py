"""Draw which classes a model takes for which, with mmpretrain's ConfusionMatrix.

python tools/analysis_tools/confusion_matrix.py CONFIG CHECKPOINT --out confusion.png --include-values
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
    parser.add_argument('config', help='path of the config of a model that classifies')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', type=Path, required=True, help='the picture; its suffix sets the format')
    parser.add_argument('--csv', type=Path, help='also write the counts here: a row a true class')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='test', help='default: test')
    parser.add_argument('--include-values', action='store_true', help='write the counts into the picture')
    parser.add_argument(
        '--device', default=None, help='where the model runs (default: a GPU if there is one)'
    )
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='as of tools/test.py')
    add_trust(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    import matplotlib
    import numpy as np
    import torch
    from mmengine.device import get_device
    from mmengine.registry import init_default_scope
    from mmpretrain.evaluation import ConfusionMatrix
    from tqdm import tqdm

    from mmcggm.engine.representations import build_loader
    from mmcggm.engine.settings import read_config
    from mmcggm.guided import load_weights
    from mmcggm.registry import MODELS
    from mmcggm.utils.atomic import replacing
    from mmcggm.utils.checkpoints import read_checkpoint
    from mmcggm.visualization.figures import save_figure

    matplotlib.use('agg')  # mmpretrain draws with pyplot
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmcggm'))
    model = MODELS.build(cfg.model)
    load_weights(model, read_checkpoint(args.checkpoint, trust=args.trust), args.checkpoint)
    model.to(args.device or get_device()).eval()
    loader = build_loader(cfg, args.split)
    with torch.no_grad():
        found = [sample for batch in tqdm(loader, unit='batch') for sample in model.test_step(batch)]
    # As an evaluator gets them.
    samples = [sample.to_dict() if hasattr(sample, 'to_dict') else sample for sample in found]
    if not (isinstance(samples[0], dict) and {'prediction', 'label'} <= samples[0].keys()):
        kind = type(found[0]).__name__
        held = f' with {sorted(samples[0])}' if isinstance(samples[0], dict) else ''
        raise ValueError(
            f'{args.config} does not classify: it predicts {kind}{held}, where an element with `prediction`, '
            'a score a class, and `label` is needed, as of MultimodalPredictor.'
        )
    scores = [np.asarray(sample['prediction'].cpu()) for sample in samples]
    if scores[0].ndim != 1 or len(scores[0]) < 2:
        raise ValueError(f'{args.config} does not classify: a prediction has shape {scores[0].shape}.')
    classes = getattr(loader.dataset, 'metainfo', {}).get('classes')
    matrix = ConfusionMatrix.calculate(
        torch.tensor([int(score.argmax()) for score in scores]),
        torch.tensor([int(sample['label']) for sample in samples]),
        num_classes=len(scores[0]),
    )
    if args.csv:
        with replacing(args.csv) as temporary:
            np.savetxt(temporary, matrix.numpy(), fmt='%d', delimiter=',')
    figure = ConfusionMatrix.plot(matrix, args.include_values, classes=classes, show=False)
    save_figure(figure, args.out)
    print(f'{int(matrix.trace())} of {int(matrix.sum())} are right. Drew {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
