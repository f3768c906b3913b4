"""Capture and resume of training: everything a run needs to go on bit for bit, never a pickle.

The only room that imports torch. `cairn-hub[train]` installs it.
"""

from cairn.errors import MissingExtraError

try:
    import torch  # noqa: F401 - asked for before anything below needs it
except ModuleNotFoundError as error:
    raise MissingExtraError("training needs torch: pip install 'cairn-hub[train]'") from error

from cairn.domain import BaseModel, RecipeKind, Retention, TrainingData, TrainingRecipe
from cairn.training.checkpoints import steps
from cairn.training.data_names import data_at
from cairn.training.environment import Difference
from cairn.training.exactness import EVERYTHING
from cairn.training.resuming import Resumed, resume
from cairn.training.run import Run
from cairn.training.sampler import EpochSampler, SampleIndex
from cairn.training.saving import save
from cairn.training.seeds import sample_seed

__all__ = [
    "EVERYTHING",
    "BaseModel",
    "Difference",
    "EpochSampler",
    "RecipeKind",
    "Resumed",
    "Retention",
    "Run",
    "SampleIndex",
    "TrainingData",
    "TrainingRecipe",
    "data_at",
    "resume",
    "sample_seed",
    "save",
    "steps",
]
