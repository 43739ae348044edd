"""get_flops.py against the closed form of linear layers."""

import re

from tests.predictor import write_predictor

TOOL = 'analysis_tools/get_flops.py'


def number(text: str) -> int:
    return int(text.replace(',', ''))


def table(printed: str) -> dict[str, tuple[int, int]]:
    """Return parameters and operations by module."""
    lines = re.findall(r'^\| (\S+) +\| +([\d,]+) +\| +([\d,]+) +\|$', printed, re.MULTILINE)
    return {name: (number(parameters), number(operations)) for name, parameters, operations in lines}


def test_operations_and_parameters_of_linear_layers(tool, tmp_path, capsys):
    files = write_predictor(tmp_path)
    untrained = 'model.model.data_preprocessor.standardise=True'  # by what only a training finds
    tool(TOOL, files.config, '--cfg-options', untrained)
    printed = capsys.readouterr().out

    layers = {
        'model.backbone.encoders.left': [(5, 64), (64, 64)],
        'model.backbone.encoders.right': [(3, 64), (64, 64)],
        'model.backbone.fusion': [(128, 64)],
        'model.head': [(64, 3)],
    }
    expected = {
        name: (sum(i * o + o for i, o in shapes), sum(i * o for i, o in shapes))
        for name, shapes in layers.items()
    }
    found = table(printed)
    assert {name: found[name] for name in expected} == expected
    # A dict of encoders is not called itself.
    encoders = (expected[f'model.backbone.encoders.{m}'] for m in ('left', 'right'))
    assert found['model.backbone.encoders'] == tuple(map(sum, zip(*encoders, strict=True)))
    whole, guides = re.search(r'Parameters: ([\d,]+), and ([\d,]+) of guides', printed).groups()
    total = number(re.search(r'Operations of one sample: ([\d,]+) ', printed)[1])
    assert (number(whole), total) == tuple(map(sum, zip(*expected.values(), strict=True)))
    assert found['guides'] == (number(guides), 0) and number(guides) > 0  # they train and do not predict
