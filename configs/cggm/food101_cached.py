"""``food101.py`` on features of ViT and BERT that were computed once, an epoch in a fraction of the time.

python tools/dataset_converters/cache_features.py configs/cggm/food101_cached.py --views 4
"""

_base_ = ['../_base_/guided/food101_cached.py']

optim_wrapper = dict(
    balancer=dict(
        type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'), magnitude='update'
    )
)
custom_hooks = [dict(type='BalancingHook')]
