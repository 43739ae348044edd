"""Training on TCGA-BRCA with one omics alone, in the model of all.

``--cfg-options model.only=methylation`` takes another; the default is rna.
"""

_base_ = ['../_base_/guided/brca.py']

model = dict(only='rna')
