"""The registries: children of MMEngine's, plus the project's own kinds of components.

Each registry imports the package in ``locations`` when it is first asked for a component, so
configs need no ``custom_imports`` once ``mmcggm.registry`` is imported.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import DefaultScope, Registry, build_from_cfg

from mmcggm.utils.spelling import did_you_mean

DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, locations=['mmcggm.datasets'])
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, locations=['mmcggm.datasets'])
FUNCTIONS = Registry('function', parent=MMENGINE_FUNCTIONS, locations=['mmcggm.datasets'])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, locations=['mmcggm.datasets.transforms'])
MODELS = Registry('model', parent=MMENGINE_MODELS, locations=['mmcggm.models', 'mmcggm.guided'])
MODEL_WRAPPERS = Registry('model_wrapper', parent=MMENGINE_MODEL_WRAPPERS, locations=['mmcggm.engine'])
WEIGHT_INITIALIZERS = Registry(
    'weight initializer', parent=MMENGINE_WEIGHT_INITIALIZERS, locations=['mmcggm.models']
)
METRICS = Registry('metric', parent=MMENGINE_METRICS, locations=['mmcggm.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, locations=['mmcggm.engine'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, locations=['mmcggm.engine'])
OPTIMIZERS = Registry('optimizer', parent=MMENGINE_OPTIMIZERS, locations=['mmcggm.engine'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=MMENGINE_OPTIM_WRAPPERS, locations=['mmcggm.engine'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, locations=['mmcggm.engine']
)
PARAM_SCHEDULERS = Registry(
    'parameter scheduler', parent=MMENGINE_PARAM_SCHEDULERS, locations=['mmcggm.engine']
)
RUNNERS = Registry('runner', parent=MMENGINE_RUNNERS, locations=['mmcggm.engine'])
STRATEGIES = Registry('strategy', parent=MMENGINE_STRATEGIES, locations=['mmcggm.engine'])
VISUALIZERS = Registry('visualizer', parent=MMENGINE_VISUALIZERS, locations=['mmcggm.visualization'])
VISBACKENDS = Registry('vis_backend', parent=MMENGINE_VISBACKENDS, locations=['mmcggm.visualization'])


def build_in_own_scope(cfg: dict | str | type, registry: Registry, key: str, kind: type = object) -> Any:
    """Build a component of a kind that no other library has, whatever the config's ``default_scope`` is.

    Args:
        cfg: Its config, or its type alone.
        registry: Where its type is.
        key: Where the config stands in the user's, for errors.
        kind: What it must be, of what the registry holds.

    Raises:
        ValueError: If type or arguments are not known; it names ``key`` and those that are.
    """
    cfg = dict(type=cfg) if isinstance(cfg, (str, type)) else cfg
    if not isinstance(cfg, Mapping) or 'type' not in cfg:
        raise ValueError(f'`{key}` must be a dict with a `type`, got {cfg!r}.')
    with DefaultScope.overwrite_default_scope('mmcggm'):
        _check_arguments(_known_type(cfg['type'], registry, key, kind), cfg, key)
        return build_from_cfg(cfg, registry)


def _known_type(name: str | Callable, registry: Registry, key: str, kind: type) -> Callable:
    """Return what ``name`` stands for, or raise a ValueError unless it is of ``kind``."""
    found = registry.get(name) if isinstance(name, str) else name
    if found is not None and not (isinstance(found, type) and not issubclass(found, kind)):
        return found
    known = sorted(n for n, c in registry.module_dict.items() if isinstance(c, type) and issubclass(c, kind))
    raise ValueError(
        f"`{key}.type`: there is no {registry.name} '{name}'.{did_you_mean(str(name).split('.')[-1], known)} "
        f'Known are {", ".join(known)}. One of your own is known once `custom_imports` names its module.'
    )


def _check_arguments(component: Callable, cfg: Mapping[str, Any], key: str) -> None:
    """Raise a ValueError unless ``component`` takes what ``cfg`` gives, and all that it needs is there."""
    parameters = _parameters(component)
    if parameters is None:
        return
    name, takes = component.__name__, ', '.join(parameters) or 'none'
    for argument in cfg:
        if argument not in parameters and argument not in ('type', '_scope_'):
            raise ValueError(
                f"`{key}`: {name} has no argument '{argument}'.{did_you_mean(argument, parameters)} It takes "
                f'{takes}. (What a base config gave to another type is dropped by `_delete_=True`.)'
            )
    lacking = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in cfg]
    if lacking:
        raise ValueError(f'`{key}`: {name} needs {", ".join(map(repr, lacking))}. It takes {takes}.')


def _parameters(component: Callable) -> dict[str, inspect.Parameter] | None:
    """Return what ``component`` takes, by name, or None if it takes anything.

    A class that hands ``**kwargs`` on takes what its base does, too.
    """
    found: dict[str, inspect.Parameter] = {}
    makers = [component]
    if isinstance(component, type):
        makers = [kind for kind in component.__mro__ if '__init__' in vars(kind)]
    for maker in makers:
        own = inspect.signature(maker).parameters
        found = {name: p for name, p in own.items() if p.kind is not inspect.Parameter.VAR_KEYWORD} | found
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in own.values()):
            return found
    return None


# The project's own kinds.
BALANCERS = Registry(
    'balancer',
    build_func=partial(build_in_own_scope, key='optim_wrapper.balancer'),
    locations=['mmcggm.balancers'],
)
POST_PROCESSING = Registry(
    'post-processing',
    build_func=partial(build_in_own_scope, key='test_cfg.post_processing'),
    locations=['mmcggm.evaluation'],
)
TASKS = Registry('task', build_func=partial(build_in_own_scope, key='task'), locations=['mmcggm.guided'])
