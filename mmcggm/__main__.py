"""The command ``mmcggm``: one door to all tools.

``mmcggm train CONFIG`` runs ``tools/train.py CONFIG``, of a clone or of what a wheel carries, in the current
folder. Nothing heavy is imported here, so that help is quick.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import NamedTuple

from mmcggm.utils.carried import carried_folder
from mmcggm.utils.spelling import did_you_mean
from mmcggm.version import __version__


class Tool(NamedTuple):
    """A file in ``tools/`` and what it does."""

    file: str
    help: str


COMMANDS = {
    'train': Tool('train.py', 'train a model'),
    'test': Tool('test.py', 'test a model'),
    'infer': Tool('infer.py', 'predict: segment brain tumours in NIfTI files, classify samples'),
    'convert av_digits': Tool('dataset_converters/av_digits.py', 'spoken and handwritten digits'),
    'convert brats': Tool('dataset_converters/brats.py', 'brain tumour MRI, from NIfTI files'),
    'convert brats_phantom': Tool('dataset_converters/brats_phantom.py', 'make synthetic brain tumour MRI'),
    'convert cache_features': Tool(
        'dataset_converters/cache_features.py', 'features of frozen encoders, once for all'
    ),
    'convert features': Tool('dataset_converters/features.py', 'features in files of any kind'),
    'convert meld': Tool('dataset_converters/meld.py', 'MELD, emotions in dialogues'),
    'convert mfeat': Tool('dataset_converters/mfeat.py', 'UCI Multiple Features'),
    'convert mosi_utterances': Tool('dataset_converters/mosi_utterances.py', "CMU-MOSI's utterances"),
    'convert sentiment': Tool('dataset_converters/sentiment.py', 'CMU-MOSI and CMU-MOSEI, from a pickle'),
    'convert watch': Tool('dataset_converters/watch.py', 'exercises that a watch recorded'),
    'benchmark': Tool('benchmark.py', 'compare methods over settings and seeds'),
    'folds': Tool('folds.py', 'cross-validate on brain tumours, over folds of patients'),
    'plot balance': Tool('analysis_tools/plot_balance.py', 'what the balancer did in a training'),
    'plot slices': Tool('analysis_tools/plot_slices.py', 'segmentations beside their references'),
    'plot costs': Tool('analysis_tools/plot_costs.py', 'what methods gain against what they cost'),
    'plot information': Tool('analysis_tools/information_curve.py', 'accuracy over shared information'),
    'plot confusion': Tool('analysis_tools/confusion_matrix.py', 'which classes are taken for which'),
    'plot tsne': Tool('analysis_tools/visualize_tsne.py', 'representations of each modality, in 2D'),
    'plot log': Tool('analysis_tools/analyze_logs.py', 'curves and times of logs'),
    'browse': Tool('analysis_tools/browse_dataset.py', 'draw what the network gets after the transforms'),
    'report': Tool('analysis_tools/report.py', 'one HTML page of one or several trainings'),
    'view': Tool('analysis_tools/view_case.py', 'one HTML page of a case, in 2D and 3D'),
    'probe': Tool('analysis_tools/linear_probe.py', 'what each encoder of a checkpoint has learnt'),
    'subsets': Tool('analysis_tools/missing_modalities.py', 'what a model reaches without some modalities'),
    'score': Tool('analysis_tools/challenge_score.py', "segmentations with the BraTS challenge's scorer"),
    'strip': Tool('model_converters/strip_guides.py', 'a checkpoint of the plain model, without guides'),
    'flops': Tool('analysis_tools/get_flops.py', 'operations and parameters of a model'),
    'config': Tool('misc/print_config.py', 'print a config, whole'),
    'publish': Tool('model_converters/publish_model.py', 'a checkpoint to pass on, named by its hash'),
    'doctor': Tool('doctor.py', "versions, devices, extras, and whether a config's data is there"),
    'quickstart': Tool('quickstart.py', 'a first result on real data, in a minute'),
}
GROUPS = {name.split()[0] for name in COMMANDS if ' ' in name}
USAGE = """usage: mmcggm COMMAND [ARGUMENT ...]
       mmcggm COMMAND --help
       mmcggm --version
"""


def describe(prefix: str = '') -> str:
    """Return the usage, and the commands that begin with ``prefix``."""
    lines = [f'  {name:24} {tool.help}' for name, tool in COMMANDS.items() if f'{name} '.startswith(prefix)]
    return '\n'.join([USAGE, 'commands:', *lines])


def find(words: list[str]) -> str | None:
    """Return the name of the command at the beginning of ``words``, of one word or of two."""
    return next((name for n in (1, 2) if (name := ' '.join(words[:n])) in COMMANDS), None)


def run(name: str, arguments: list[str]) -> None:
    """Run a tool as Python runs a script, under the command's name in its help."""
    path = carried_folder('tools') / COMMANDS[name].file
    sys.argv = [f'mmcggm {name}', *arguments]
    # As processes that a tool starts by multiprocessing find it, too.
    script = ModuleType('__main__', doc=None)
    script.__file__ = str(path)
    sys.modules['__main__'] = script
    code = compile(path.read_text(encoding='utf-8'), path, 'exec', dont_inherit=True)
    exec(code, vars(script))


def main() -> None:
    """Run the command that ``sys.argv`` names; exit with 2 where it names none."""
    words = sys.argv[1:]
    name = find(words)
    if name is not None:
        run(name, words[len(name.split()) :])
    elif words == ['--version']:
        print(f'mmcggm {__version__}')
    elif words in ([], ['-h'], ['--help']):
        print(describe())
    elif words[1:] in ([], ['-h'], ['--help']) and words[0] in GROUPS:
        print(describe(f'{words[0]} '))
    else:
        asked = ' '.join(words[: 2 if words[0] in GROUPS else 1])
        hint = did_you_mean(asked, COMMANDS)
        print(f"{USAGE}\nError: there is no command '{asked}'.{hint}", file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
