"""Spoken and handwritten digits in two balances: noise on the images moves it to the audio."""

data = 'av_digits'
settings = {
    f'noise {noise}': {f'{split}_dataloader.dataset.image_noise': noise for split in ('train', 'val', 'test')}
    for noise in (0.3, 0.7)
}
