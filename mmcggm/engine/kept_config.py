"""The config that MMEngine keeps in a checkpoint, read as data: nothing in it is executed.

MMEngine keeps the text of a config and runs it as Python where it needs it. Here the text is parsed, and may
hold numbers, text and containers alone. Since a config names what is built (``type='os.system'`` would be
called), it may name components of this package, of MMEngine, mmcv and mmseg, and layers of ``torch.nn`` and
``torchvision.ops`` alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torchvision.ops
from mmengine import registry as mmengine_registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmseg import registry as mmseg_registry

from mmcggm import registry as own_registry
from mmcggm.utils.checkpoints import CheckpointError

SCOPES = ('mmcggm', 'mmengine', 'mmcv', 'mmseg')
# Registries of what is built to predict.
KINDS = ('MODELS', 'POST_PROCESSING', 'TASKS', 'TRANSFORMS', 'WEIGHT_INITIALIZERS')
LAYERS = {'torch.nn': torch.nn, 'torchvision.ops': torchvision.ops}
NUMBERS = {'inf': float('inf'), 'nan': float('nan')}  # as MMEngine writes them
GIVE_IT = 'Give the config of its training instead.'


def kept_config(checkpoint: Mapping[str, Any], source: str, trust: bool = False) -> Config:
    """Return the config of the training that a checkpoint is of.

    Args:
        checkpoint: What was read.
        source: Name of the file, for messages.
        trust: Whether the config may name anything that can be imported; it is parsed all the same.

    Raises:
        CheckpointError: If the checkpoint holds no config, or one that is more than data.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        raise CheckpointError(f"'{source}' holds no config. {GIVE_IT}")
    try:
        settings = dict(_settings(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            f"The config in '{source}' is not read, since it is more than data: "
            f'{error or "it is too deep"}. {GIVE_IT}'
        ) from None
    if not trust:
        _check_names(settings, source)
    return Config(settings)


def _settings(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, _value(value)
            case _:
                raise ValueError(f'line {statement.lineno} is no `name = value`')


def _value(node: ast.expr) -> Any:
    """Return what an expression of plain values stands for."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_value(entry) for entry in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(entry) for entry in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(k): _value(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        names = [keyword.arg for keyword in node.keywords]
        if None not in names and not node.args:
            return {name: _value(keyword.value) for name, keyword in zip(names, node.keywords, strict=True)}
        if len(node.args) == 1 and not names and isinstance(node.args[0], ast.Dict):
            return _value(node.args[0])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand)
        if isinstance(value, (int, float)):
            return -value
    if isinstance(node, ast.Name) and node.id in NUMBERS:
        return NUMBERS[node.id]
    raise ValueError(f'line {node.lineno} holds `{ast.unparse(node)[:60]}`')


def _check_names(settings: Mapping[str, Any], source: str) -> None:
    """Raise a CheckpointError if what is built to predict is anything but components of known packages."""
    built = [settings.get('model'), *_named(settings.get('test_dataloader'), 'pipeline')]
    names = {str(name) for name in _named(built, 'type')}
    known = _components()
    foreign = sorted(name for name in names if not _is_known(name, known))
    scopes = {str(scope) for scope in (settings.get('default_scope', 'mmcggm'), *_named(built, '_scope_'))}
    foreign += sorted(scopes - set(SCOPES))
    if settings.get('custom_imports'):
        foreign.append('custom_imports')
    if foreign:
        raise CheckpointError(
            f"The config in '{source}' names {', '.join(foreign[:5])}, beyond what this package, MMEngine, "
            f'mmcv, mmseg, {" and ".join(LAYERS)} have: building it could run any code. {GIVE_IT}'
        )


def _named(value: Any, key: str) -> Iterator[Any]:
    """Yield all that stands under ``key`` in nested containers."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            if name == key:
                yield entry
            yield from _named(entry, key)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _named(entry, key)


def _components() -> dict[str, Any]:
    """Return all that may be built, by name."""
    found: dict[str, Any] = {}
    for module in (mmengine_registry, mmseg_registry, own_registry):
        for registry in (vars(module).get(name) for name in KINDS):
            if isinstance(registry, Registry):
                registry.import_from_location()
                found |= registry.module_dict
    return found


def _is_known(name: str, known: Mapping[str, Any]) -> bool:
    scope, _, last = name.rpartition('.')
    if scope in LAYERS:
        layer = vars(LAYERS[scope]).get(last)
        return isinstance(layer, type) and issubclass(layer, torch.nn.Module)
    if scope in ('', *SCOPES):
        return last in known
    component = known.get(last)  # of a config in pure Python style
    return getattr(component, '__module__', None) == scope and scope.split('.')[0] in SCOPES
