"""Fine-tuning: a base, data and a recipe become a folder that stock loaders load."""

from cairn.training.finetuning.finetune import Finetuned, finetune, finetune_agent
from cairn.training.finetuning.progress import Progress, Watcher
from cairn.training.finetuning.story import Story

__all__ = ["Finetuned", "Progress", "Story", "Watcher", "finetune", "finetune_agent"]
