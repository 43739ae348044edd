"""AGS on TCGA-BRCA, with the α that is the default of the authors' code.

It acts in the whole training, where theirs ends after the first tenth.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='AGS', alpha=0.01))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
