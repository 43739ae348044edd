"""What the segmentation of a whole volume costs in 3D, beside MONAI's sliding window on the same network.

    python tools/analysis_tools/benchmark_windows.py --json windows.json

The network of ``configs/baseline/brats_unet3d_small.py``, with random weights, segments a volume of random
numbers, by ``VolumeSegmentor.predict`` and by MONAI's ``SlidingWindowInferer`` with the same settings, with
the argmax over its labels. They take turns. Time is that of the process on its cores, and the ratio is the
median of the ratios within a turn. Memory is the most that torch's allocator has handed out at one time, the
volume itself not counted. Needs the extra brats3d.
"""

import argparse
import statistics
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from monai.inferers import SlidingWindowInferer
from torch import Tensor

from mmcggm.benchmark.measure import peak_allocation, time_in_turns
from mmcggm.registry import MODELS
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

CONFIGS = Path(__file__).parents[2] / 'configs'
CONFIG = 'baseline/brats_unet3d_small.py'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--shape', type=int, nargs=3, default=[155, 200, 160], metavar=('D', 'H', 'W'))
    parser.add_argument('--repeats', type=int, default=3, help='volumes that each segments (default: 3)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch')
    add_json_argument(parser)
    args = parser.parse_args()

    init_default_scope('mmcggm')
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(CONFIGS / CONFIG).model
    model = MODELS.build(cfg).eval()
    modalities = cfg.backbone.modalities
    volumes = {modality: torch.randn(1, 1, *args.shape) for modality in modalities}
    stacked = torch.cat(list(volumes.values()), dim=1)
    inferer = SlidingWindowInferer(
        cfg.test_cfg.patch_size,
        sw_batch_size=cfg.test_cfg.windows_per_pass,
        overlap=cfg.test_cfg.overlap,
        mode='gaussian',
    )

    def network(patches: Tensor) -> Tensor:
        inputs = dict(zip(modalities, patches.split(1, dim=1), strict=True))
        return model.encode_decode(inputs, [dict(img_shape=patches.shape[2:])] * len(patches))

    def ours() -> Tensor:
        return model(volumes, mode='predict')[0].pred_sem_seg.data

    def monai() -> Tensor:
        return inferer(stacked, network).argmax(1)[0].to(torch.uint8)

    with torch.inference_mode():
        logits = model.volume_logits({modality: volume[0] for modality, volume in volumes.items()})
        difference = (logits - inferer(stacked, network)[0]).abs().max().item()
        del logits
        times = time_in_turns(dict(ours=ours, monai=monai), torch.device('cpu'), args.repeats)
        memory = {name: peak_allocation(action) for name, action in dict(ours=ours, monai=monai).items()}
    figures = dict(
        config=CONFIG,
        shape=args.shape,
        largest_difference_of_logits=difference,
        median_s={name: statistics.median(values) for name, values in times.items()},
        ours_to_monai=statistics.median(a / b for a, b in zip(times['ours'], times['monai'], strict=True)),
        peak_mb={name: size / 1e6 for name, size in memory.items()},
    )
    give(figures, args.json)


if __name__ == '__main__':
    run_tool(main)
