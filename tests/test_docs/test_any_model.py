"""What docs/any_model.md says of data loaders holds."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from tests.tiny import TinyData, tiny_guided

GUIDE = Path(__file__).parents[2] / 'docs' / 'any_model.md'
LOADER = dict(
    dataset=TinyData(8), batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
)


def batch_of(**settings) -> dict:
    return next(iter(Runner.build_dataloader({**LOADER, **settings})))


def test_a_model_of_batched_tensors_needs_the_remarks_collate_fn():
    section = GUIDE.read_text(encoding='utf-8').partition('### Lists or batches?')[2]
    code = section.partition('```python\n')[2].partition('```')[0]
    guided, settings = tiny_guided(), Config.fromstring(code, '.py').train_dataloader.to_dict()

    batched = batch_of(**settings)
    assert {name: value.shape[0] for name, value in batched.items()} == dict(left=4, right=4, label=4)
    assert 'guide_left.loss' in guided(**guided.data_preprocessor(batched), mode='loss')

    listed = batch_of()
    assert all(isinstance(value, list) and isinstance(value[0], Tensor) for value in listed.values())
    with pytest.raises(TypeError, match='list'):
        guided(**guided.data_preprocessor(listed), mode='loss')
