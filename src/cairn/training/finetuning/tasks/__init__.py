"""The tasks a model can be fine-tuned for: a file each, and a line here."""

from importlib import import_module
from typing import cast

from cairn.domain.finetuning import TaskName
from cairn.errors import RequestError
from cairn.training.finetuning.tasks.base import (
    Batch,
    Example,
    MakesTask,
    Materials,
    Objective,
    Task,
)

_TASKS: dict[TaskName, str] = {
    TaskName.TEXT_CLASSIFICATION: "text_classification:TextClassification",
    TaskName.TOKEN_CLASSIFICATION: "token_classification:TokenClassification",
    TaskName.SENTENCE_SIMILARITY: "sentence_similarity:SentenceSimilarity",
    TaskName.TEXT_GENERATION: "text_generation:TextGeneration",
    TaskName.TEXT2TEXT_GENERATION: "text2text_generation:Text2TextGeneration",
    TaskName.IMAGE_CLASSIFICATION: "image_classification:ImageClassification",
    TaskName.OBJECT_DETECTION: "object_detection:ObjectDetection",
    TaskName.TEXT_TO_IMAGE: "text_to_image:TextToImage",
    TaskName.SPEECH_RECOGNITION: "speech:speech",
}


def task_of(name: TaskName) -> MakesTask:
    """What makes the task of this name.

    Raises:
        RequestError: agents learn otherwise.
    """
    if name not in _TASKS:
        raise RequestError(f"{name} is learnt from an environment, not from rows")
    module, _, kind = _TASKS[name].partition(":")
    return cast("MakesTask", getattr(import_module(f"{__name__}.{module}"), kind))


__all__ = ["Batch", "Example", "Materials", "Objective", "Task", "task_of"]
