"""Joint training on exercises that a watch recorded, without balancing.

Guides train along without a say, so that the log shows what each encoder has learnt.
"""

_base_ = ['../_base_/guided/watch.py']
