"""Joint training on TCGA-BRCA, without balancing.

Guides train along without a say, so that the log shows what each encoder has learnt.
"""

_base_ = ['../_base_/guided/brca.py']
