"""UMT on spoken and handwritten digits, with BalanceBenchmark's λ = 10. The teachers come from

python tools/train.py configs/single/av_digits_audio.py
python tools/train.py configs/single/av_digits_image.py
"""

_base_ = ['../cggm/av_digits.py']

model = dict(teachers=dict(audio='work_dirs/av_digits_audio', image='work_dirs/av_digits_image'))
optim_wrapper = dict(balancer=dict(_delete_=True, type='UMT', lam=10.0))
