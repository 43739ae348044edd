"""Results of a benchmark whose runs nobody trained."""

from mmcggm.benchmark import write_result

SCORES = {'plain': [0.70, 0.72, 0.69], 'fast': [0.75, 0.74, 0.78]}


def finish(benchmark, folder, leave_out=()):
    for run in benchmark.finals():
        if (run.method, run.seed) not in leave_out:
            (folder / run.folder).mkdir(parents=True)
            score = SCORES[run.method][run.seed]
            write_result(
                folder / run.folder, run.fingerprint, metrics={'accuracy': score, 'guide/audio': score / 2}
            )
