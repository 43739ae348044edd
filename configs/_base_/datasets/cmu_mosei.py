"""CMU-MOSEI as MMSA ships it, aligned: BERT (768), COVAREP (74) and FACET (35), 50 tokens each.

For the unaligned file (up to 500 frames of audio), convert it, which takes its several gigabytes out of
memory, and set ``ann_file='unaligned_50.h5'``.
"""

_base_ = ['./cmu_mosi.py']

widths = dict(text=768, audio=74, vision=35)

clips = dict(data_root='data/cmu_mosei', channels=widths)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
