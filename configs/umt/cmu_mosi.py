"""UMT on CMU-MOSI, with BalanceBenchmark's λ = 10. The teachers come from

python tools/train.py configs/single/cmu_mosi_text.py
python tools/train.py configs/single/cmu_mosi_audio.py
python tools/train.py configs/single/cmu_mosi_vision.py
"""

_base_ = ['../cggm/cmu_mosi.py']

model = dict(
    teachers=dict(
        text='work_dirs/cmu_mosi_text', audio='work_dirs/cmu_mosi_audio', vision='work_dirs/cmu_mosi_vision'
    )
)
optim_wrapper = dict(balancer=dict(_delete_=True, type='UMT', lam=10.0))
