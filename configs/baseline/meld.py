"""Joint training on MELD's dev utterances, without balancing.

Guides train along without a say, so that the log shows what each encoder has learnt.
"""

_base_ = ['../_base_/guided/meld.py']
