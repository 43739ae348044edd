"""What `av_digits.py` is now, under the name that it had before: for configs that inherit from it."""

_base_ = ['./av_digits.py']
