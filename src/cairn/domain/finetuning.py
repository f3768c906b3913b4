"""How a model is fine-tuned: everything that the weights depend on, and nothing measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cairn.errors import RequestError


class TaskName(StrEnum):
    """What a model learns to do, in the words of Hugging Face's `pipeline_tag`."""

    TEXT_CLASSIFICATION = "text-classification"
    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105 - tokens of a text
    SENTENCE_SIMILARITY = "sentence-similarity"
    TEXT_GENERATION = "text-generation"
    TEXT2TEXT_GENERATION = "text2text-generation"
    IMAGE_CLASSIFICATION = "image-classification"
    OBJECT_DETECTION = "object-detection"
    TEXT_TO_IMAGE = "text-to-image"
    REINFORCEMENT_LEARNING = "reinforcement-learning"
    SPEECH_RECOGNITION = "automatic-speech-recognition"


class Method(StrEnum):
    """Which numbers of a model are trained."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"
    LAST_LAYER = "last-layer"


ADAPTERS = frozenset((Method.LORA, Method.QLORA))
"""What comes out is of use with its base alone."""


class Schedule(StrEnum):
    """How the learning rate goes down after the warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


class Precision(StrEnum):
    """Which numbers a forward pass computes with; weights and optimizer stay float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


AUTO_BATCH = 0
"""In place of a batch size: the largest that fits."""
USUAL_BATCH = 8


@dataclass(frozen=True, slots=True)
class FineTuning:
    """What a fine-tuning is asked to do; the same recipe gives the same weights.

    `base` and `data` are a path or a repo, as a command takes them; `columns` says which column
    of the data has which role. Rates and shares are fractions of 1. `steps` goes before `epochs`.
    `held_out` is the share of rows that are measured with and not learnt from, where there is no
    `eval_data`. Lengths are in tokens. `evaluate_every` and `save_every` are in steps: once in an
    epoch, and at each evaluation, unless they are given. `patience` is how many evaluations may
    bring nothing better (0: any number). What depends on base and machine may be left open, and
    is settled before training: `learning_rate` (None: `usual_learning_rate`) and `batch_size`
    (`AUTO_BATCH`: a step has `accumulate` times `USUAL_BATCH` rows, in as few passes as fit).

    Raises:
        RequestError: a number is out of its range.
    """

    base: str
    data: str
    task: TaskName
    method: Method = Method.LORA
    eval_data: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    epochs: float = 3.0
    steps: int | None = None
    batch_size: int = USUAL_BATCH
    accumulate: int = 1
    learning_rate: float | None = None
    schedule: Schedule = Schedule.LINEAR
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    held_out: float = 0.1
    evaluate_every: int | None = None
    save_every: int | None = None
    patience: int = 0
    max_length: int | None = None
    precision: Precision = Precision.AUTO
    gradient_checkpointing: bool = False
    rank: int = 8
    alpha: float = 16.0
    adapter_dropout: float = 0.05
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        least_one = ("accumulate", "rank", "steps", "evaluate_every", "save_every")
        for name in (*least_one, "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"{_spelled(name)} is {value}, and must be 1 or more")
        for name in ("epochs", "learning_rate", "alpha"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RequestError(f"{_spelled(name)} is {value}, and must be above 0")
        for name in ("warmup", "held_out", "adapter_dropout"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise RequestError(f"{_spelled(name)} is {value}, and must be from 0 to below 1")
        for name in ("batch_size", "weight_decay", "clip", "patience"):
            if not getattr(self, name) >= 0:
                raise RequestError(f"{_spelled(name)} is negative")

    @property
    def rate(self) -> float:
        """The highest learning rate, once it is settled."""
        if self.learning_rate is None:
            raise ValueError("the learning rate is not settled")
        return self.learning_rate


def lighter(recipe: FineTuning) -> list[str]:
    """Options that take less memory than the recipe does, those that change least first."""
    ways = []
    if recipe.batch_size > 1:
        ways.append(f"a --batch-size below {recipe.batch_size} with a higher --accumulate, or auto")
    if not recipe.gradient_checkpointing:
        ways.append("--gradient-checkpointing")
    match recipe.method:
        case Method.FULL:
            ways.append("--method lora")
        case Method.LORA:
            ways.append("--method qlora")
    return ways


def _spelled(name: str) -> str:
    return name.replace("_", "-")
