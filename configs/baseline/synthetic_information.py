"""Joint training on the synthetic family, without balancing.

Guides train along without a say, so that the log shows what each encoder has learnt.
"""

_base_ = ['../_base_/guided/synthetic_information.py']
