"""Fine-tuning: a base, data and a recipe become a folder that stock loaders load."""

from cairn.training.finetuning.finetune import Base, Finetuned, finetune
from cairn.training.finetuning.progress import Progress, Watcher

__all__ = ["Base", "Finetuned", "Progress", "Watcher", "finetune"]
