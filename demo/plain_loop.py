"""Any model in any loop: a network of a digit's upper and lower half, balanced by CGGM in five lines."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import mmcggm


class TwoHalves(nn.Module):
    """A model as anybody writes it: it knows nothing of mmcggm."""

    def __init__(self) -> None:
        super().__init__()
        self.upper = nn.Sequential(nn.Linear(32, 64), nn.ReLU())
        self.lower = nn.Sequential(nn.Linear(32, 64), nn.ReLU())
        self.classifier = nn.Linear(128, 10)

    def forward(self, upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.cat([self.upper(upper), self.lower(lower)], dim=1))


torch.manual_seed(0)
digits = load_digits()
pixels, target = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
order = torch.randperm(len(target))
train, test = order[:1200], order[1200:]

model = TwoHalves()
balanced = mmcggm.balance(
    model, encoders=dict(upper='upper', lower='lower'), head='classifier', task='classification'
)
optimizer = balanced.prepare(torch.optim.AdamW(model.parameters(), lr=3e-3))
for _ in range(10):
    for batch in train[torch.randperm(len(train))].split(64):
        with balanced.watch(target[batch]):
            loss = nn.functional.cross_entropy(model(*pixels[batch].split(32, dim=1)), target[batch])
        balanced.loss(loss).backward()
        optimizer.step()
        optimizer.zero_grad()

with torch.no_grad():
    accuracy = (model(*pixels[test].split(32, dim=1)).argmax(1) == target[test]).float().mean()
print(f'Accuracy on digits that were not trained on: {accuracy:.1%}. What was balanced: {balanced.stats()}')
