"""``brats_unet3d.py`` small enough for a CPU: no layer works on all voxels, the first stride is 2."""

_base_ = ['./brats_unet3d.py']

channels = (8, 16, 32, 64)
strides = (2, 2, 2, 2)
patch_size = (64, 64, 64)

model = dict(
    backbone=dict(
        encoder=dict(channels=channels, strides=strides),
        fusion=dict(in_channels=channels, out_channels=channels),
    ),
    decode_head=dict(in_channels=channels, strides=strides[1:], deep_supervision=()),
    # Two at once: PyTorch's 3D convolutions of one patch alone are several times as slow on some CPUs.
    test_cfg=dict(patch_size=patch_size, overlap=0.25, windows_per_pass=2),
)
