"""Which task a base is made for, by its configuration alone."""

import json
from pathlib import Path
from typing import Any

from cairn.domain.finetuning import TaskName
from cairn.errors import RequestError
from cairn.formats.fetched_folders import called
from cairn.workflows.finetune_agent import agent_file

_CONFIGURATIONS = ("config.json", "model_index.json")
# Endings of the classes that `architectures` names.
_BY_CLASS = {
    "ForSequenceClassification": TaskName.TEXT_CLASSIFICATION,
    "ForTokenClassification": TaskName.TOKEN_CLASSIFICATION,
    "ForCausalLM": TaskName.TEXT_GENERATION,
    "GPT2LMHeadModel": TaskName.TEXT_GENERATION,
    "T5ForConditionalGeneration": TaskName.TEXT2TEXT_GENERATION,
    "BartForConditionalGeneration": TaskName.TEXT2TEXT_GENERATION,
    "MarianMTModel": TaskName.TEXT2TEXT_GENERATION,
    "ForImageClassification": TaskName.IMAGE_CLASSIFICATION,
    "ForObjectDetection": TaskName.OBJECT_DETECTION,
    "StableDiffusionPipeline": TaskName.TEXT_TO_IMAGE,
    "ForCTC": TaskName.SPEECH_RECOGNITION,
    "WhisperForConditionalGeneration": TaskName.SPEECH_RECOGNITION,
}


def task_for(base: Path) -> TaskName:
    """The task that the class of a base says.

    Raises:
        RequestError: it says none; the message lists the choices.
    """
    if agent_file(base) is not None:
        return TaskName.REINFORCEMENT_LEARNING
    for name in _named_classes(base):
        for ending, task in _BY_CLASS.items():
            if name.endswith(ending):
                return task
    choices = ", ".join(TaskName)
    raise RequestError(
        f"{called(base)} does not say what it is to learn: --task is one of {choices}"
    )


def _named_classes(base: Path) -> list[str]:
    for name in _CONFIGURATIONS:
        try:
            said: Any = json.loads((base / name).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(said, dict):
            named = said.get("architectures") or [said.get("_class_name")]
            return [one for one in named if isinstance(one, str)]
    return []
