"""Dice of the labels without background, and cross-entropy of all, by a softmax."""

label_loss = dict(
    type='MonaiLoss',
    name='DiceCELoss',
    include_background=False,  # in the Dice
    to_onehot_y=True,
    softmax=True,
    batch=True,
    loss_name='loss_dice_ce',
)
