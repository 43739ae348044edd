"""get_flops.py against the closed form of linear layers."""

import re

from tests.predictor import write_predictor

TOOL = 'analysis_tools/get_flops.py'


def table(printed: str) -> dict[str, tuple[float, float]]:
    """Return parameters and operations, in millions, by module."""
    lines = re.findall(r'^\| (\S+) +\| +([\d.]+) +\| +([\d.]+) +\|$', printed, re.MULTILINE)
    return {name: (float(parameters), float(operations)) for name, parameters, operations in lines}


def test_operations_and_parameters_of_linear_layers(tool, tmp_path, capsys):
    files = write_predictor(tmp_path)
    wide = 'model.model.backbone.encoder.hidden_channels=[500,64]'
    untrained = 'model.model.data_preprocessor.standardise=True'  # by what only a training finds
    tool(TOOL, files.config, '--depth', '4', '--cfg-options', wide, untrained)
    printed = capsys.readouterr().out

    layers = dict(
        left=[(5, 500), (500, 64)], right=[(3, 500), (500, 64)], project=[(128, 64)], head=[(64, 3)]
    )
    operations = {name: sum(i * o for i, o in shapes) / 1e6 for name, shapes in layers.items()}
    parameters = {name: sum(i * o + o for i, o in shapes) / 1e6 for name, shapes in layers.items()}
    found = table(printed)
    for name, path in dict(
        left='model.backbone.encoders.left', right='model.backbone.encoders.right', head='model.head'
    ).items():
        assert found[path] == (round(parameters[name], 3), round(operations[name], 3))
    total = re.search(r'Operations of one sample: ([\d.]+) M', printed)[1]
    assert float(total) == round(sum(operations.values()), 3)
    whole, guides = map(float, re.search(r'Parameters: ([\d.]+) M, and ([\d.]+) M', printed).groups())
    assert whole == round(sum(parameters.values()), 3) and guides > 0
    assert found['guides'] == (guides, 0)  # they train and do not predict
