"""Compare methods over settings and seeds, and print the table.

    python tools/benchmark.py configs/benchmark/av_digits.py --jobs 2

If the config asks for a search, each method first tries its candidates on the validation split. Runs that
have a result are not repeated, unless their config or data changed: stopped, the same command goes on. On
several hosts that share the folder, the same command shares out the runs. With `--engine submitit` they are
jobs of Slurm. The tables (Markdown, CSV, JSON), what the search tried (search.json) and a plot of what is
gained against its cost are written beside the runs. Exits with 1 if a run failed.
"""

import argparse
from pathlib import Path

from mmcggm.utils.launch_arguments import OptionAction, add_engine_arguments
from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help="path of the benchmark's config")
    add_engine_arguments(parser, 'runs')
    parser.add_argument(
        '--work-dir', type=Path, help='folder of runs and tables (default: work_dirs/benchmark/NAME)'
    )
    parser.add_argument(
        '--methods', nargs='+', metavar='NAME', help='compare these alone, with the baseline (default: all)'
    )
    parser.add_argument(
        '--no-costs', action='store_true', help='leave out step time and memory, a few seconds a method'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        help="override settings of every run's config: key=value, nested keys with dots",
    )
    args = parser.parse_args()
    if args.engine_options and args.engine == 'local':
        parser.error('--engine-options are of --engine submitit.')
    return args


def main() -> int:
    args = parse_args()
    wait_passively()  # the runs' processes inherit it
    # Here, since --help needs none of them.
    from mmcggm.benchmark import (
        KEYS,
        Benchmark,
        SubmititEngine,
        choose,
        measure_costs,
        run_all,
        summarise,
        to_markdown,
        write_tables,
    )
    from mmcggm.benchmark.data import FILE as DATA_FILE
    from mmcggm.benchmark.data import DataFiles
    from mmcggm.benchmark.ensemble import ensemble_accuracies
    from mmcggm.engine.settings import read_config
    from mmcggm.visualization.cost_plot import cost_points, draw_costs
    from mmcggm.visualization.figures import save_figure

    work_dir = args.work_dir or Path('work_dirs', 'benchmark', args.config.stem)
    files = DataFiles(work_dir / DATA_FILE)
    cfg = read_config(args.config, known=KEYS)
    benchmark = Benchmark(cfg, args.cfg_options, Path(cfg.filename).parent, args.methods, files)
    engine = SubmititEngine(work_dir, args.engine_options) if args.engine == 'submitit' else None
    failed: dict = {}
    if benchmark.trials:
        failed = run_all(benchmark.trials, work_dir, args.jobs, 'Search', files, engine)
    runs = benchmark.finals(choose(benchmark, work_dir))
    failed |= run_all(runs, work_dir, args.jobs, files=files, engine=engine)
    rows = summarise(benchmark, runs, work_dir, ensemble_accuracies(benchmark, runs, work_dir))
    costs = {} if args.no_costs else measure_costs(benchmark, runs, work_dir)
    if rows:
        write_tables(rows, benchmark.metrics, work_dir, costs)
        print(to_markdown(rows, benchmark.metrics, costs), end='')
    if costs:
        metric, baseline = benchmark.metrics[0], benchmark.baseline
        panels = cost_points(rows, costs, metric, baseline)
        save_figure(draw_costs(panels, metric, baseline), work_dir / 'costs.png')
        print(f'Plot: {work_dir / "costs.png"}')
    if failed:
        total = len(benchmark.trials) + len(runs)
        print(f'{len(failed)} of {total} runs failed; the same command repeats them.')
    return 1 if failed else 0


if __name__ == '__main__':
    run_tool(main)
