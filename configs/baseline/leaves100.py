"""Joint training on 100 Leaves, without balancing.

Guides train along without a say, so that the log shows what each encoder has learnt.
"""

_base_ = ['../_base_/guided/leaves100.py']
