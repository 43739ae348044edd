"""Segmentation: phantoms of brain tumours made, converted, trained on with CGGM and tested, in a few minutes.

Where `make demo` has run, its phantoms are taken.
"""

from pathlib import Path

from mmcggm.datasets.brats.converter import convert_folder
from mmcggm.datasets.brats.phantom_writer import write_phantoms
from mmcggm.engine.launch import build_runner
from mmcggm.engine.settings import read_config

CASES = 12

write_phantoms(Path('data/brats_phantom_nifti'), CASES, seed=0, workers=2, naming='2021')
convert_folder('data/brats_phantom_nifti', 'data/brats_phantom', fractions=(0.7, 0.1, 0.2))

cfg = read_config('cggm/brats_unet_demo.py')
cfg.work_dir = 'work_dirs/demo/segmentation'
runner = build_runner(cfg)
runner.train()
print(runner.test())
