"""For every task: a tiny base, data that it can learn, and how its output is loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.domain.finetuning import Method, Schedule, TaskName
from tests.training.finetuning import bases, toys


@dataclass(frozen=True)
class Subject:
    """`learns` are settings by which `metric` gets past `wanted`."""

    task: TaskName
    base: Callable[[Path], Path]
    data: Callable[[Path], Path]
    loader: str
    metric: str
    wanted: float
    file: str = "data.jsonl"
    method: Method = Method.LORA
    short: Mapping[str, Any] = field(default_factory=dict)
    learns: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0
    is_lower_better: bool = False

    def load(self, out: Path, base: Path) -> Any:
        """The model, as whoever has only peft and transformers loads it."""
        import diffusers
        import peft
        import transformers

        if self.task is TaskName.TEXT_TO_IMAGE:
            pipeline = diffusers.StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
            pipeline.load_lora_weights(out)
            return pipeline
        kind = getattr(transformers, self.loader)
        if not (out / "adapter_config.json").exists():
            return kind.from_pretrained(out)
        classes = {"num_labels": self.classes} if self.classes else {}
        bare = kind.from_pretrained(base, ignore_mismatched_sizes=True, **classes)
        return peft.PeftModel.from_pretrained(bare, out)


SLOWLY = {"schedule": Schedule.COSINE, "evaluate_every": 50}
FULL = {"method": Method.FULL, "learning_rate": 0.02, "batch_size": 16}

SUBJECTS = {
    "text-classification": Subject(
        TaskName.TEXT_CLASSIFICATION,
        bases.bert,
        lambda path: toys.reviews(path.with_suffix(".csv"), 200),
        "AutoModelForSequenceClassification",
        "accuracy",
        0.9,  # chance: 0.5
        learns={**FULL, "steps": 60},
        classes=2,
    ),
    "token-classification": Subject(
        TaskName.TOKEN_CLASSIFICATION,
        bases.bert,
        toys.opinions,
        "AutoModelForTokenClassification",
        "f1",
        0.9,  # chance: below 0.2
        learns={**FULL, "steps": 60},
        classes=4,
    ),
    "similarity of scored pairs": Subject(
        TaskName.SENTENCE_SIMILARITY,
        bases.bert,
        toys.pairs,
        "AutoModel",
        "spearman",
        0.6,  # chance: 0
        learns={**FULL, "steps": 80},
    ),
    "similarity of triplets": Subject(
        TaskName.SENTENCE_SIMILARITY,
        bases.bert,
        toys.triplets,
        "AutoModel",
        "cosine_accuracy",
        0.9,  # chance: 0.5
        learns={**FULL, "steps": 60},
    ),
    "text-generation": Subject(
        TaskName.TEXT_GENERATION,
        bases.gpt2,
        toys.stories,
        "AutoModelForCausalLM",
        "perplexity",
        1.5,  # of 23 words; 1 is best
        learns={**FULL, "steps": 60},
        is_lower_better=True,
    ),
    "text2text-generation": Subject(
        TaskName.TEXT2TEXT_GENERATION,
        bases.t5,
        toys.opposites,
        "AutoModelForSeq2SeqLM",
        "exact_match",
        0.5,  # chance: 1 in 16
        learns={**FULL, "steps": 200},
    ),
    "image-classification": Subject(
        TaskName.IMAGE_CLASSIFICATION,
        bases.resnet,
        toys.colours,
        "AutoModelForImageClassification",
        "accuracy",
        0.8,  # chance: 1 in 3
        file="pictures",
        short={"held_out": 0.2},
        learns={**FULL, "steps": 30},
        classes=3,
    ),
    "object-detection": Subject(
        TaskName.OBJECT_DETECTION,
        bases.yolos,
        toys.squares,
        "AutoModelForObjectDetection",
        "map_50",
        0.3,  # chance: next to 0
        file="pictures",
        short={"held_out": 0.2},
        learns={**FULL, "steps": 250, "learning_rate": 0.005},
        classes=2,
    ),
    "text-to-image": Subject(
        TaskName.TEXT_TO_IMAGE,
        bases.stable_diffusion,
        toys.captions,
        "",
        "loss",
        0.97,  # noise that is not told at all: above 1
        file="pictures",
        short={"held_out": 0.2},
        learns={
            "steps": 120,
            "learning_rate": 0.005,
            "batch_size": 16,
            "rank": 16,
            "alpha": 32.0,
            "held_out": 0.5,  # the noise of few pictures says little
            "evaluate_every": 30,
        },
        is_lower_better=True,
    ),
    "speech that is spelled": Subject(
        TaskName.SPEECH_RECOGNITION,
        bases.wav2vec2,
        toys.answers,
        "AutoModelForCTC",
        "cer",
        0.9,  # nothing heard: 1
        file="sounds",
        short={"held_out": 0.2},
        learns={**FULL, "steps": 400, "learning_rate": 0.005, **SLOWLY},
        is_lower_better=True,
    ),
    "speech that is written": Subject(
        TaskName.SPEECH_RECOGNITION,
        bases.whisper,
        toys.answers,
        "AutoModelForSpeechSeq2Seq",
        "wer",
        0.3,  # one word always: 0.5
        file="sounds",
        short={"held_out": 0.2},
        learns={**FULL, "steps": 80, "learning_rate": 0.01},
        is_lower_better=True,
    ),
}
