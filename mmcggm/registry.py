"""The registries: children of MMEngine's, plus the project's own kinds of components.

Each registry imports the package in ``locations`` when it is first asked for a component, so
configs need no ``custom_imports`` once ``mmcggm.registry`` is imported.
"""

from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import DefaultScope, Registry, build_from_cfg

DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, locations=['mmcggm.datasets'])
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, locations=['mmcggm.datasets'])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, locations=['mmcggm.datasets.transforms'])
MODELS = Registry('model', parent=MMENGINE_MODELS, locations=['mmcggm.models'])
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
STRATEGIES = Registry('strategy', parent=MMENGINE_STRATEGIES, locations=['mmcggm.engine'])
VISUALIZERS = Registry('visualizer', parent=MMENGINE_VISUALIZERS, locations=['mmcggm.visualization'])
VISBACKENDS = Registry('vis_backend', parent=MMENGINE_VISBACKENDS, locations=['mmcggm.visualization'])


def build_in_own_scope(cfg: dict, registry: Registry, **kwargs) -> Any:
    """Build a component of a kind that no other library has, whatever the config's ``default_scope`` is."""
    with DefaultScope.overwrite_default_scope('mmcggm'):
        return build_from_cfg(cfg, registry, **kwargs)


# The project's own kinds.
BALANCERS = Registry('balancer', build_func=build_in_own_scope, locations=['mmcggm.balancers'])
TASKS = Registry('task', build_func=build_in_own_scope, locations=['mmcggm.models'])
