"""Dice and binary cross-entropy of the regions WT, TC and ET, each by a sigmoid."""

region_loss = dict(
    type='MonaiLoss',
    name='DiceFocalLoss',
    regions='gli2023',  # of training labels, so those of gliomas of 2021 as well
    gamma=0.0,  # without focus it is the binary cross-entropy
    batch=True,
    loss_name='loss_dice_bce',
)
