"""CGGM against joint training on spoken and handwritten digits, in two balances of the modalities."""

methods = {
    'joint': dict(config='configs/baseline/av_digits.py'),
    'CGGM': dict(config='configs/cggm/av_digits.py'),
    'CGGM smoothed': dict(config='configs/cggm/av_digits_smoothed.py'),
}
# Noise on the images moves the balance to the audio.
settings = {
    f'noise {noise}': {f'{split}_dataloader.dataset.image_noise': noise for split in ('train', 'val', 'test')}
    for noise in (0.3, 0.7)
}
seeds = list(range(5))
baseline = 'joint'
metrics = ['accuracy', 'guide/audio', 'guide/image']
checkpoint = 'best'
