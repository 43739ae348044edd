"""The paper's network for CMU-MOSI, with encoders as wide as the features of CMU-MOSEI."""

_base_ = ['./mosi_transformer.py']

channels = dict(text=768, audio=74, vision=35)
model = dict(
    backbone=dict(encoders={modality: dict(in_channels=width) for modality, width in channels.items()})
)
