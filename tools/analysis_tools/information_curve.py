"""Draw what trainings reach on the synthetic family against the share of unique information.

    python tools/analysis_tools/information_curve.py --out work_dirs/information.png

Runs configs/benchmark/synthetic_information.py, joint training, balancing methods and each modality alone at
every share, and lets the single modalities of a setting and seed predict together: the mean of their
probabilities. Dashed is what no reader can surpass, computed from the family. The right panel shows what the
others gain on joint training. The figures are written beside the runs, as
information.json. Runs that have a result are not repeated. Exits with 1 if a run failed.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

from mmcggm.utils.launch_arguments import OptionAction
from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'benchmark' / 'synthetic_information.py'
JOINT, ENSEMBLE, ALONE = 'joint', 'ensemble', ' alone'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, nargs='?', default=CONFIG, help="path of the benchmark's config")
    parser.add_argument('--out', type=Path, required=True, help='the picture; its suffix sets the format')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, a core each (default: 1)')
    parser.add_argument(
        '--work-dir', type=Path, help='folder of the runs (default: work_dirs/benchmark/NAME)'
    )
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='as of tools/benchmark.py')
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error('--jobs must be at least 1')
    return args


def main() -> int:
    args = parse_args()
    wait_passively()  # the runs' processes inherit it
    # Here, since --help needs none of them.
    from mmcggm.benchmark import KEYS, Benchmark, read_result, run_all
    from mmcggm.benchmark.ensemble import ensemble_accuracy
    from mmcggm.engine.settings import read_config
    from mmcggm.registry import DATASETS
    from mmcggm.utils.atomic import replacing
    from mmcggm.visualization.figures import save_figure
    from mmcggm.visualization.information_curve import draw_information_curve

    work_dir = args.work_dir or Path('work_dirs', 'benchmark', args.config.stem)
    cfg = read_config(args.config, known=KEYS)
    benchmark = Benchmark(cfg, args.cfg_options, Path(cfg.filename).parent)
    runs = benchmark.finals()
    failed = run_all(runs, work_dir, args.jobs)
    if failed:
        print(f'{len(failed)} of {len(runs)} runs failed; the same command repeats them.')
        return 1
    reached: dict = defaultdict(lambda: defaultdict(list))
    best: dict = defaultdict(dict)
    singles: dict = defaultdict(list)
    for run in runs:
        family = DATASETS.build({**run.cfg.test_dataloader.dataset, 'samples': 1}).family
        share = round(sum(family.unique.values()), 6)
        result = read_result(work_dir / run.folder, run.fingerprint)
        reached[run.method][share].append(result['metrics']['accuracy'])
        if run.method.endswith(ALONE):
            singles[share, run.seed].append(run)
            best[run.method][share] = family.best_accuracy([run.method.removesuffix(ALONE)])
        elif run.method == JOINT:
            best[run.method][share] = family.best_accuracy(family.modalities)
    for (share, _), found in singles.items():
        reached[ENSEMBLE][share].append(ensemble_accuracy(found, work_dir))
    with replacing(work_dir / 'information.json') as temporary:
        temporary.write_text(json.dumps(dict(reached=reached, best=best), indent=2) + '\n', encoding='utf-8')
    save_figure(draw_information_curve(reached, best, JOINT), args.out)
    names = list(reached)
    print('| unique share | ' + ' | '.join(names) + ' | best possible |')
    print('| --- |' + ' --- |' * (len(names) + 1))
    for share in sorted(reached[JOINT]):
        values = [f'{mean(reached[name][share]):.3f}' for name in names]
        print(f'| {share:g} | ' + ' | '.join(values) + f' | {best[JOINT][share]:.3f} |')
    print(f'Drew {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
