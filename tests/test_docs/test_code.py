"""Every block of code of the documentation is run, built or read, or says what it needs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import HOOKS, DefaultScope

from mmcggm.__main__ import COMMANDS, find
from mmcggm.balancers import build_balancer
from mmcggm.benchmark import KEYS, Benchmark
from mmcggm.engine.settings import read_config
from mmcggm.registry import MODELS
from tests.test_docs.pages import BLOCKS, DOCS, PAGES, ROOT, SHOWN, Block
from tests.test_docs.setups import SETUPS
from tests.tutorials import BLOCK, write_files

KINDS = ('run', 'in', 'test', 'needs', 'installs', 'file')
INSTALLING = ('pip', 'python -m venv', 'source', 'pre-commit', 'mmcggm', 'mim')
FLAGS = ROOT / 'mmcggm' / 'utils' / 'launch_arguments.py'


def having(*kinds: str, language: str | None = None) -> list:
    """Return the blocks of these kinds as parameters of a test."""
    chosen = [b for b in BLOCKS if b.kind in kinds and language in (None, b.language)]
    assert chosen
    return [pytest.param(block, id=str(block)) for block in chosen]


@pytest.mark.parametrize('block', [pytest.param(block, id=str(block)) for block in BLOCKS])
def test_each_block_says_how_it_is_tried(block):
    assert block.language in ('python', 'bash'), 'a block is python, bash, text or json'
    if block.kind == 'needs':
        assert block.language == 'bash', 'Python is run'
    assert block.kind in KINDS or (not block.kind and block.has_own_test)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_code_is_fenced(page):
    """A block that is only indented has no language, and would go untested."""
    text = re.sub(r'^ *```.*?^ *```$', '', page.read_text(encoding='utf-8'), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r'\n\n {4}(?!\S*[-*] )(?:python|pip|bash|make|from|import) .*', text)


@pytest.mark.parametrize('block', having('run'))
def test_python_runs(block):
    with SETUPS[block.value]() as space:
        exec(compile(block.code, str(block), 'exec'), space)


def check_config(path: Path) -> None:
    """Build what a config is about: a benchmark's trainings, or model, method and hooks."""
    if 'methods' in Config.fromfile(path):
        cfg = read_config(path, known=KEYS)
        chosen = {cfg.baseline, *list(cfg.methods)[:2]}  # all would take seconds
        cfg.methods = {name: method for name, method in cfg.methods.items() if name in chosen}
        cfg.references, cfg.ensembles = [], {}  # of all methods
        assert Benchmark(cfg, root=path.parents[1]).finals()
        return
    cfg = read_config(path)
    with DefaultScope.overwrite_default_scope('mmcggm'):
        with torch.device('meta'):
            MODELS.build(cfg.model)
        for hook in cfg.get('custom_hooks', []):
            HOOKS.build(hook)
        if 'balancer' in cfg.get('optim_wrapper', {}):
            build_balancer(cfg.optim_wrapper.balancer, 'balancer')


@pytest.mark.parametrize('block', having('in'))
def test_settings_build_where_they_belong(block, tmp_path):
    path = tmp_path / 'configs' / 'settings.py'
    path.parent.mkdir()
    path.write_text(f'_base_ = [{str(ROOT / block.value)!r}]\n{block.code}', encoding='utf-8')
    check_config(path)


@pytest.mark.parametrize('block', [p for p in having('file') if not p.values[0].has_own_test])
def test_a_config_of_a_page_builds(block, tmp_path):
    folder = write_files(block.page, tmp_path / 'page', link=False)
    for name, code in BLOCK.findall((DOCS / 'your_features.md').read_text(encoding='utf-8')):
        (folder / name).write_text(code, encoding='utf-8')  # to which other pages refer
    for config in ROOT.glob('configs/*/*.py'):
        link = folder / config.relative_to(ROOT)
        if not link.exists():
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(config)
    (folder / 'configs' / 'benchmark' / '_base_').symlink_to(ROOT / 'configs' / 'benchmark' / '_base_')
    check_config(folder / block.value)


@pytest.mark.parametrize('block', having('test'))
def test_the_test_that_a_block_names_exists(block):
    assert (ROOT / block.value).exists()


@pytest.mark.parametrize('block', having('installs'))
def test_what_installs_only_installs(block):
    for command in commands_of(block):
        assert command.startswith(INSTALLING), command


def commands_of(block: Block) -> list[str]:
    """Return the commands of a block, continuation lines joined and comments dropped."""
    lines = block.code.replace('\\\n', ' ').splitlines()
    parts = [part for line in lines for part in re.sub(r'(^|\s)#.*', '', line).split(' && ')]
    return [part.strip() for part in parts if part.strip()]


def files_of(page: Path) -> set[str]:
    """Return the files that a page tells its reader to write."""
    return {block.value for block in BLOCKS if block.page == page and block.kind == 'file'}


@pytest.mark.parametrize('block', having('needs', 'test', '', language='bash'))
def test_commands_name_what_exists(block):
    """Tools, modules, tests and targets exist, tools take the flags, and configs take the options."""
    for command in commands_of(block):
        words = [word for word in shlex.split(command) if not re.fullmatch(r'[A-Z_]+=.*', word)]
        if 'mmcggm' in words[:1]:
            name = find(words[1:])
            assert name, command
            words = ['python', f'tools/{COMMANDS[name].file}', *words[1 + len(name.split()) :]]
        program = words[1] if words[0] in ('python', 'bash') else words[0]
        if program == '-m' and words[2].startswith('tests.'):
            assert (ROOT / words[2].replace('.', '/')).with_suffix('.py').is_file()
        elif words[0] == 'make':
            assert re.search(rf'^{words[1]}:', (ROOT / 'Makefile').read_text(encoding='utf-8'), re.MULTILINE)
        elif words[0] == 'pytest':
            assert all((ROOT / word).exists() for word in words[1:])
        elif program.startswith('tools/'):
            check_tool(words[1:], files_of(block.page))


def check_tool(words: list[str], written: set[str]) -> None:
    """Compare a command of a tool with the tool's source, and its options with its config."""
    source = (ROOT / words[0]).read_text(encoding='utf-8')
    if words[0].endswith('.sh'):
        launched = re.search(r'(train|test)\.py', source)[0]
        source += (ROOT / 'tools' / launched).read_text(encoding='utf-8')
    source += FLAGS.read_text(encoding='utf-8')
    for module in re.findall(r'from (mmcggm\S*) import', source):
        path = ROOT / module.replace('.', '/')
        files = (path.with_suffix('.py'), path / '__init__.py')
        source += next(file.read_text(encoding='utf-8') for file in files if file.exists())
    for flag in (word for word in words if word.startswith('--')):
        assert f"'{flag.partition('=')[0]}'" in source, flag
    for config in (word for word in words if word.startswith(('configs/', 'projects/'))):
        if config in written:
            continue
        assert (ROOT / config).is_file(), config
        if '--cfg-options' in words and 'benchmark/' not in config:
            options = [w for w in words[words.index('--cfg-options') + 1 :] if '=' in w and '$' not in w]
            pairs = (option.split('=', 1) for option in options)
            read_config(ROOT / config, {key: DictAction._parse_iterable(value) for key, value in pairs})


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_samples_of_json_are_json(page):
    text = page.read_text(encoding='utf-8')
    for sample in re.findall(r'^```json\n(.*?)^```$', text, re.MULTILINE | re.DOTALL):
        json.loads(sample)


def test_the_kinds_of_blocks_are_all_there():
    """What tells blocks from text finds them: a page with code has blocks."""
    fences = sum(page.read_text(encoding='utf-8').count('\n```bash') for page in DOCS.glob('*.md'))
    assert len([b for b in BLOCKS if b.language == 'bash']) >= fences > 30
    assert not {block.language for block in BLOCKS} & set(SHOWN)
