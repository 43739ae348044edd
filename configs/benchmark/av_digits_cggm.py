"""CGGM's options on spoken and handwritten digits, in two balances of the modalities."""

_base_ = ['./_base_/cggm_options.py', './_base_/av_digits.py']
