"""Package definition: dependencies, extras and the version."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read_version() -> str:
    """Return ``__version__`` without importing the package (and so torch)."""
    scope: dict = {}
    exec((ROOT / 'mmcggm' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


# OpenMMLab's own releases stopped and pin an old torch; the `onedl-` builds continue them
# under the same import names (mmengine, mmcv, mmseg, mmpretrain).
REQUIRES = [
    'torch>=2.4',
    'torchvision>=0.19',
    'onedl-mmengine>=0.10.10',
    'onedl-mmcv>=2.3',
    'onedl-mmsegmentation>=1.4',
    'onedl-mmpretrain>=1.3',
    'transformers>=4.40',
    'nibabel>=5.0',
    'safetensors>=0.4',
    'scipy>=1.10',
    'tqdm>=4.60',
]
EXTRAS = {
    'brats': ['h5py>=3.8', 'panoptica>=2.1'],
    'data': ['h5py>=3.8', 'scikit-learn>=1.3'],
    'demo': ['nilearn>=0.10', 'tensorboard>=2.10'],
    'dev': [
        'pytest>=7.4',
        'pytest-xdist>=3.3',
        'hypothesis>=6.80',
        'accelerate>=0.30',
        'ruff>=0.8',
        'monai>=1.3',
        'BraTS-evaluation>=0.0.10',
    ],
}
EXTRAS['demo'] += EXTRAS['brats']
EXTRAS['dev'] += EXTRAS['demo'] + EXTRAS['data']
EXTRAS['all'] = EXTRAS['dev']

setup(
    name='mmcggm',
    version=read_version(),
    description='Balanced multimodal learning for MMEngine: Classifier-Guided Gradient Modulation.',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmcggm', 'mmcggm.*']),
    python_requires='>=3.10',
    install_requires=REQUIRES,
    extras_require=EXTRAS,
)
