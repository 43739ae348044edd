"""UMT on IEMOCAP, with BalanceBenchmark's λ = 10. The teachers come from

python tools/train.py configs/single/iemocap_text.py
python tools/train.py configs/single/iemocap_audio.py
python tools/train.py configs/single/iemocap_vision.py
"""

_base_ = ['../cggm/iemocap.py']

model = dict(
    teachers=dict(
        text='work_dirs/iemocap_text', audio='work_dirs/iemocap_audio', vision='work_dirs/iemocap_vision'
    )
)
optim_wrapper = dict(balancer=dict(_delete_=True, type='UMT', lam=10.0))
