"""UMT on UPMC Food-101, with BalanceBenchmark's λ = 10. The teachers come from

python tools/train.py configs/single/food101_image.py
python tools/train.py configs/single/food101_text.py
"""

_base_ = ['../cggm/food101.py']

model = dict(teachers=dict(image='work_dirs/food101_image', text='work_dirs/food101_text'))
optim_wrapper = dict(balancer=dict(_delete_=True, type='UMT', lam=10.0))
