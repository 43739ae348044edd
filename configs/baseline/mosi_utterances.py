"""Joint training on CMU-MOSI's utterances, without balancing.

Guides train along without a say, so that the log shows what each encoder has learnt.
"""

_base_ = ['../_base_/guided/mosi_utterances.py']
