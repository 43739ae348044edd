import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.visualization.curves import draw_curves, draw_runs, read_curves, smoothed
from tests.tiny import tiny_runner
from tests.tool import exit_status

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'plot_balance.py'
MODALITIES = ('audio', 'vision')


def write_run(work_dir, name, lines):
    path = work_dir / name / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


def training(quantities=('B', 'score', 'cos'), value=0.25, steps=30, start=0):
    lines = []
    for step in range(start + 10, start + 10 * steps + 1, 10):
        line = dict(loss=1.0, iter=step, step=step, epoch=1)
        for quantity in quantities:
            for index, modality in enumerate(MODALITIES):
                line[f'balance/{quantity}/{modality}'] = value + index
        lines.append(line | {'balance/L_gm': 0.1})
    return [*lines, dict(accuracy=0.5, step=1)]


def test_resumed_runs_are_joined_by_iteration(tmp_path):
    write_run(tmp_path, '20250101_000000', training(value=1.0, steps=20))  # killed after 200
    write_run(tmp_path, '20250101_120000', [dict(accuracy=0.5, step=0)])  # a test
    write_run(
        tmp_path, '20250102_000000', training(value=2.0, steps=5, start=150)
    )  # from the checkpoint at 150
    write_run(tmp_path, '20250103_000000', training(('B', 'score'), value=3.0, steps=4, start=200))
    curves = read_curves(tmp_path)
    for quantity, end in (('B', 240), ('score', 240), ('cos', 200)):
        iterations, values = curves[quantity]['audio'].T
        np.testing.assert_array_equal(iterations, np.arange(10, end + 1, 10))
        expected = np.select([iterations <= 150, iterations <= 200], [1.0, 2.0], 3.0)
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(curves[quantity]['vision'][:, 1], expected + 1)
    assert len(draw_curves(curves).axes) == 3


def test_an_interval_that_changed_mixes_no_runs(tmp_path):
    write_run(tmp_path, '20250101_000000', training(value=1.0, steps=30))
    write_run(tmp_path, '20250102_000000', training(value=2.0, steps=30)[4::5])  # at 50, 100, ...
    iterations, values = read_curves(tmp_path)['B']['audio'].T
    np.testing.assert_array_equal(iterations, [10, 20, 30, 40, *range(50, 301, 50)])
    np.testing.assert_array_equal(values, [1.0] * 4 + [2.0] * 6)


def test_a_resumed_training_draws_what_an_uninterrupted_one_does(tmp_path):
    tiny_runner(tmp_path / 'whole', max_epochs=3).train()
    tiny_runner(tmp_path / 'parts', max_epochs=2).train()
    (first,) = (tmp_path / 'parts').glob('*/vis_data')
    first.parent.rename(tmp_path / 'parts' / '20000101_000000')  # the second may start in the same second
    tiny_runner(tmp_path / 'parts', max_epochs=3, resume=True).train()
    assert len(list((tmp_path / 'parts').glob('*/vis_data/scalars.json'))) == 2
    whole, parts = (read_curves(tmp_path / name) for name in ('whole', 'parts'))
    for quantity, lines in whole.items():
        for modality, line in lines.items():
            assert len(line) == 6
            np.testing.assert_allclose(parts[quantity][modality], line, atol=1e-4)


def test_a_training_started_anew_replaces_the_old_one(tmp_path):
    write_run(tmp_path, '20250101_000000', training(value=1.0))
    write_run(tmp_path, '20250102_000000', training(value=2.0))
    write_run(tmp_path, '20250103_000000', [dict(accuracy=0.5, step=0)])  # a test
    curves = read_curves(tmp_path)
    assert list(curves) == ['B', 'score', 'cos']
    assert list(curves['B']) == list(MODALITIES)
    np.testing.assert_array_equal(curves['score']['vision'][:2], [[10, 3], [20, 3]])
    assert len(curves['cos']['audio']) == 30


@pytest.mark.parametrize(('runs', 'found'), [([], 'it holds no run'), ([training(())], 'none of its 1 runs')])
def test_nothing_to_plot(tmp_path, runs, found):
    for index, lines in enumerate(runs):
        write_run(tmp_path, str(index), lines)
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}: {found}.*BalancingHook'):
        read_curves(tmp_path)


def test_damaged_line(tmp_path):
    write_run(tmp_path, 'run', training())
    with (tmp_path / 'run' / 'vis_data' / 'scalars.json').open('a') as file:
        file.write('{"loss": 1.0, "it')
    with pytest.raises(ValueError, match=r'scalars\.json, line 32 is not JSON'):
        read_curves(tmp_path)


def test_figure(tmp_path):
    write_run(tmp_path, 'run', training())
    figure = draw_curves(read_curves(tmp_path), smooth=0.9)
    panels = figure.axes
    assert [ax.get_ylabel() for ax in panels] == [
        'Balancing term $B$',
        r'Score $\epsilon$',
        'Cosine of $g$ and $g_i$',
    ]
    assert [ax.get_xlabel() for ax in panels] == ['', '', 'Iteration']
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*MODALITIES, 'neutral, $(M-1)/M$ = 0.50']
    dashed = [line for line in panels[0].lines if line.get_linestyle() == '--']
    assert [set(line.get_ydata()) for line in dashed] == [{0.5}]
    for modality in MODALITIES:
        colours = {line.get_color() for ax in panels for line in ax.lines if line.get_label() == modality}
        assert len(colours) == 1
    assert len(panels[1].lines) == 4  # smooth and raw of each modality
    assert len(draw_curves(read_curves(tmp_path), smooth=0).axes[1].lines) == 2


def test_other_methods_have_panels_of_their_own(tmp_path):
    lines = [{'iter': i, 'balance/turn/a': 1.0, 'balance/turn/b': 0.0, 'balance/kept': 1.0} for i in range(3)]
    write_run(tmp_path, 'run', lines)
    (panel,) = draw_curves(read_curves(tmp_path)).axes
    assert panel.get_ylabel() == 'turn'


def test_panels_follow_what_was_logged(tmp_path):
    write_run(tmp_path, 'run', training(('B', 'score')))
    assert len(draw_curves(read_curves(tmp_path)).axes) == 2


def test_poles_stay_beyond_the_axis(tmp_path):
    lines = training(steps=300)
    lines[100]['balance/B/audio'] = 1e8
    lines[200]['balance/B/vision'] = float('nan')
    write_run(tmp_path, 'run', lines)
    panel = draw_curves(read_curves(tmp_path)).axes[0]
    assert panel.get_ylim()[1] < 2
    assert panel.get_title(loc='right') == '1 of 600 values beyond the axis'
    assert all(np.isfinite(line.get_ydata()).all() for line in panel.lines)


@given(st.floats(-5, 5), st.floats(0, 0.99))
def test_smoothing_keeps_constants(value, smooth):
    np.testing.assert_allclose(smoothed(np.full(20, value), smooth), value, atol=1e-9)


def test_smoothing_by_hand():
    np.testing.assert_allclose(smoothed(np.array([1.0, 0.0, 1.0]), 0.5), [1, 1 / 3, 5 / 7])


def test_smooth_out_of_range(tmp_path):
    write_run(tmp_path, 'run', training())
    with pytest.raises(ValueError, match=r'smooth is 1\.0'):
        draw_curves(read_curves(tmp_path), smooth=1.0)


def gradients(value=0.5, steps=30):
    lines = []
    for step in range(10, 10 * steps + 1, 10):
        line = dict(loss=1.0, iter=step, step=step)
        for quantity, names in dict(
            norm=(*MODALITIES, 'fused'), score=(*MODALITIES, 'fused'), cos=MODALITIES
        ).items():
            line |= {f'gradient/{quantity}/{name}': value for name in names}
        lines.append(line)
    return lines


def test_fused_and_modalities_without_a_balancer(tmp_path):
    write_run(tmp_path, 'run', gradients())
    curves = read_curves(tmp_path)
    assert list(curves) == ['score', 'norm', 'agreement']
    assert list(curves['norm']) == [*MODALITIES, 'fused'] and list(curves['agreement']) == list(MODALITIES)
    figure = draw_curves(curves)
    assert len(figure.axes) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*MODALITIES, 'fused']


def test_runs_side_by_side_with_bands_over_seeds(tmp_path):
    for seed, value in enumerate((0.2, 0.4, 0.6)):
        write_run(tmp_path / f'joint{seed}', 'run', gradients(value, steps=30 - seed))
    write_run(tmp_path / 'cggm', 'run', training())
    joint = [read_curves(tmp_path / f'joint{seed}') for seed in range(3)]
    figure = draw_runs({'joint': joint, 'CGGM': [read_curves(tmp_path / 'cggm')]}, smooth=0.5)
    grid = np.array(figure.axes).reshape(5, 2)
    assert [ax.get_title() for ax in grid[0]] == ['joint, 3 seeds', 'CGGM']
    for ax in figure.axes:  # a panel has curves or says why not
        assert [text.get_text() for text in ax.texts] == ([] if ax.lines else ['not logged'])
    assert not all(ax.lines for ax in figure.axes)
    score = grid[1, 0]
    (line,) = [line for line in score.lines if line.get_label() == 'fused']
    np.testing.assert_array_equal(line.get_xdata(), np.arange(10, 281, 10))  # where all seeds have values
    np.testing.assert_allclose(line.get_ydata(), 0.4)
    low, high = score.collections[0].get_paths()[0].get_extents().get_points()[:, 1]
    assert (low, high) == pytest.approx((0.2, 0.6))
    with pytest.raises(ValueError, match='no training'):
        draw_runs({'joint': []})


def test_tool(tmp_path, capsys):
    main = runpy.run_path(str(TOOL))['main']
    out = tmp_path / 'figures' / 'balance.png'
    assert exit_status(lambda: main([str(tmp_path), '--out', str(out)])) == 1
    assert 'Nothing to plot' in capsys.readouterr().err
    write_run(tmp_path, 'run', training())
    assert exit_status(lambda: main([str(tmp_path), '--out', str(out)])) == 0
    assert out.read_bytes().startswith(b'\x89PNG')


def test_tool_draws_runs_side_by_side(tmp_path):
    main = runpy.run_path(str(TOOL))['main']
    for name in 'abc':
        write_run(tmp_path / name, 'run', training())
    a, b, c, out = (str(tmp_path / name) for name in ('a', 'b', 'c', 'runs.svg'))
    assert exit_status(lambda: main([a, '--run', 'seeds', b, c, '--out', out])) == 0
    text = (tmp_path / 'runs.svg').read_text()
    assert 'seeds, 2 seeds' in text
    assert exit_status(lambda: main(['--out', out])) == 2
