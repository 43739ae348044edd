"""What a linear classifier reads from each modality's representation.

    python tools/analysis_tools/linear_probe.py CONFIG work_dirs/cggm/av_digits/epoch_12.pth

For each modality, scikit-learn's LogisticRegression is trained on the representations of the training
split, averaged over positions and standardised, and tested on those of the test split. The trained model
is not changed, and its guides have no say: unlike their scores, a probe's accuracy does not depend on how
well the guide was trained. Beside it stands what a probe reads from the model as it was before training:
an encoder has learnt what is above that; from ready-made features a probe reads much through any weights.
These come from the checkpoint if it holds them (GuideScoreHook(control=True)), else the model is initialised
again with the seed of the training. For classification with one label a sample. The training split is read as
in training, but once and in order; what is random in its pipeline is seeded.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from tqdm import tqdm

from mmcggm.engine.hooks.guide_score_hook import KEY
from mmcggm.engine.optim_wrapper import find_guided
from mmcggm.engine.representations import build_loader, represent
from mmcggm.engine.settings import read_config
from mmcggm.guided import GuidedModel, load_weights
from mmcggm.models import MultimodalDataPreprocessor
from mmcggm.registry import MODELS
from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing
from mmcggm.utils.checkpoints import read_checkpoint
from mmcggm.utils.launch_arguments import OptionAction, add_trust
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of a config whose model is a GuidedModel')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--c', type=float, default=1.0, help='inverse of the regularisation (default: 1)')
    parser.add_argument('--max-iter', type=int, default=1000, help="of the probe's solver (default: 1000)")
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='where the model runs'
    )
    parser.add_argument('--json', type=Path, help='also write the accuracies here')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='as of tools/test.py')
    add_trust(parser)
    args = parser.parse_args()
    if args.c <= 0 or args.max_iter < 1:
        parser.error('--c must be above zero, --max-iter at least 1')
    return args


def untrained_model(cfg: Config, checkpoint: Mapping[str, Any], source: str, trust: bool) -> GuidedModel:
    """Return the model of a checkpoint's training as it was before that."""
    set_random_seed(checkpoint.get('meta', {}).get('seed') or 0)
    model = find_guided(MODELS.build(cfg.model))
    if KEY in checkpoint:
        load_weights(model, dict(state_dict=checkpoint[KEY]['weights']), source)
        return model
    model.init_weights()
    if cfg.get('load_from'):
        first = read_checkpoint(cfg.load_from, trust=trust)
        load_weights(model, first, cfg.load_from, strict=cfg.get('strict_load', True))
    return model


def main() -> int:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmcggm'))
    linear_model = import_optional('sklearn.linear_model', 'data')
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    checkpoint = read_checkpoint(args.checkpoint, trust=args.trust)
    model = find_guided(MODELS.build(cfg.model))
    load_weights(model, checkpoint, args.checkpoint)
    untrained = untrained_model(cfg, checkpoint, args.checkpoint, args.trust)
    for name, module in model.named_modules():
        if isinstance(module, MultimodalDataPreprocessor):  # statistics of the data are not learnt
            untrained.get_submodule(name).load_state_dict(module.state_dict())

    def probe(model: GuidedModel, name: str) -> dict[str, dict[str, float]]:
        """Return accuracies on both splits by modality, and the channels that they are read from."""
        model = model.to(args.device).eval()
        torch.manual_seed(0)
        train, test = (represent(model, build_loader(cfg, s), f'{name}{s}') for s in ('train', 'test'))
        found = {}
        for modality in tqdm([m for m in model.modalities if m in train and m in test], desc='probes'):
            regression = linear_model.LogisticRegression(C=args.c, max_iter=args.max_iter)
            fitted = make_pipeline(StandardScaler(), regression).fit(*train[modality])
            found[modality] = dict(
                test=fitted.score(*test[modality]),
                train=fitted.score(*train[modality]),
                channels=train[modality][0].shape[1],
            )
        return found

    accuracies, controls = probe(model, ''), probe(untrained, 'untrained, ')
    for modality, found in accuracies.items():
        found |= {f'untrained_{split}': controls[modality][split] for split in ('test', 'train')}
    width = max(len('modality'), *map(len, accuracies))
    print(f'{"":{width}}  trained       untrained')
    print(f'{"modality":{width}}  test   train  test   train  channels')
    for modality, found in accuracies.items():
        values = ' '.join(f'{found[n]:.4f}' for n in ('test', 'train', 'untrained_test', 'untrained_train'))
        print(f'{modality:{width}}  {values} {found["channels"]}')
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(accuracies, indent=2) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    run_tool(main)
