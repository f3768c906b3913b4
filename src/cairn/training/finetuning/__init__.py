"""Fine-tuning: a base, data and a recipe become a folder that stock loaders load."""

from cairn.training.finetuning.finetune import Finetuned, finetune, finetune_agent
from cairn.training.finetuning.loop import Story
from cairn.training.finetuning.progress import Progress, Watcher

__all__ = ["Finetuned", "Progress", "Story", "Watcher", "finetune", "finetune_agent"]
