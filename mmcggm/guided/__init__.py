"""What wraps and watches a model: guided model, passes, guides, tasks and teachers."""

from .checkpoints import strip_guides
from .function_task import FunctionTask
from .guided_model import GuidedModel
from .guides import AutoGuide, DecodeHeadGuide, Guide
from .ordinal_task import OrdinalTask
from .pixel_accuracy_score import PixelAccuracy
from .segmentation_task import SegmentationTask
from .sequence_guide import SequenceGuide
from .slice_dice_score import SliceDice
from .tasks import ClassificationTask, MultiLabelTask, RegressionTask, Task
from .untrained import UntrainedGuides
from .weights import load_weights

__all__ = [
    'AutoGuide',
    'ClassificationTask',
    'DecodeHeadGuide',
    'FunctionTask',
    'Guide',
    'GuidedModel',
    'MultiLabelTask',
    'OrdinalTask',
    'PixelAccuracy',
    'RegressionTask',
    'SegmentationTask',
    'SequenceGuide',
    'SliceDice',
    'Task',
    'UntrainedGuides',
    'load_weights',
    'strip_guides',
]
