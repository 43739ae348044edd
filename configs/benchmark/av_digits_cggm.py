"""CGGM's options on spoken and handwritten digits, in two balances of the modalities."""

_base_ = ['./_base_/cggm_options.py']

data = 'av_digits'
settings = {
    f'noise {noise}': {f'{split}_dataloader.dataset.image_noise': noise for split in ('train', 'val', 'test')}
    for noise in (0.3, 0.7)
}
