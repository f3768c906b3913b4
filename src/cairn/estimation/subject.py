"""What is to be trained, as far as names and shapes of tensors and a configuration tell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from cairn.errors import RequestError
from cairn.formats.limits import MAX_INDEX_DIGITS

Shape = tuple[int, ...]

_EMBEDDINGS = (
    *("embed", "wte", "wpe", "shared.weight", "tok_embeddings", "token_embd", "position_embd"),
    *("relative_attention_bias", "cls_token", "position_ids"),
)
_HEADS = (
    *(
        "lm_head",
        "classifier",
        "score",
        "qa_outputs",
        "fc",
        "head",
        "heads",
        "class_labels_classifier",
    ),
    *("proj_out", "conv_out", "action_net", "output", "bbox_predictor", "classification_head"),
)


_POSITIONS = ("embeddings.position_embeddings.weight", "wpe.weight")


@dataclass(frozen=True, slots=True)
class Subject:
    """One model: shapes of its weights by name, the numbers it is known by, its configuration.

    `facts` are under the keys of HF configurations, as `Architecture.facts` has them. `resident`
    counts weights of other parts that lie in memory while this one is trained. `evidence` says
    what the family was told by.
    """

    family: str
    tensors: Mapping[str, Shape]
    facts: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    class_name: str = ""
    resident: int = 0
    evidence: str = ""
    _seen: dict[tuple[str, ...], Shape | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def positions(self) -> int | None:
        """The most tokens that a learned table of positions has room for; None: there is none."""
        rows = (shape[0] for name, shape in self.tensors.items() if name.endswith(_POSITIONS))
        return min(rows, default=None)

    @property
    def parameters(self) -> int:
        """All of them; an output layer tied to the embeddings counts once."""
        return sum(prod(shape) for _, shape in self.parameter_shapes())

    def parameter_shapes(self) -> Iterator[tuple[str, Shape]]:
        """Name and shape of each, without the second name of a tied weight."""
        tied = self.config.get("tie_word_embeddings", True)
        embedding = next((s for n, s in self.tensors.items() if _is_table(n) and len(s) == 2), None)
        for name, shape in self.tensors.items():
            if tied and name.endswith("lm_head.weight") and shape == embedding:
                continue
            yield name, shape

    @property
    def is_tied(self) -> bool:
        """Whether the output layer is the table of embeddings."""
        return not any(is_output_layer(name) for name, _ in self.parameter_shapes())

    def head_shapes(self) -> list[tuple[str, Shape]]:
        """The last layer: what is named like a head of transformers, diffusers or torchvision."""
        found = [
            (name, shape)
            for name, shape in self.parameter_shapes()
            if any(part in _HEADS for part in name.split(".")[:2]) and not is_embedding(name)
        ]
        return found or [("classifier.weight", (2, self.number("hidden_size", 768)))]

    def number(self, key: str, default: int | None = None, *others: str) -> int:
        """A whole number under a key of `facts`, or of the configuration under it or `others`.

        Raises:
            RequestError: it is nowhere, and there is no default.
        """
        for found in (self.facts.get(key), *(self.config.get(one) for one in (key, *others))):
            if isinstance(found, int) and not isinstance(found, bool) and found > 0:
                return found
        if default is None:
            raise RequestError(
                f"{key} is told neither by a configuration nor by the tensors of this"
                f" {self.family or 'model'}: put its config.json beside the weights"
            )
        return default

    def share(self, default: float, *keys: str) -> float:
        """A probability under one of these keys of the configuration."""
        for key in keys:
            found = self.config.get(key)
            if isinstance(found, (int, float)) and not isinstance(found, bool) and 0 <= found < 1:
                return float(found)
        return default

    def numbers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of whole numbers under a key; facts spell lists as text."""
        for found in (self.config.get(key), self.facts.get(key)):
            listed = found.split(", ") if isinstance(found, str) else found
            if isinstance(listed, list) and listed and all(map(_is_whole, listed)):
                return tuple(map(int, listed))
        return default

    def word(self, default: str, *keys: str) -> str:
        """A name under a key of `facts` or of the configuration."""
        for key in keys:
            for found in (self.facts.get(key), self.config.get(key)):
                if isinstance(found, str) and found:
                    return found
        return default

    def shape_of(self, *endings: str) -> Shape | None:
        """The shape of the first weight whose name ends so; searched for once."""
        if endings not in self._seen:
            found = (
                shape
                for ending in endings
                for name, shape in self.tensors.items()
                if name.endswith(ending)
            )
            self._seen[endings] = next(found, None)
        return self._seen[endings]


def is_output_layer(name: str) -> bool:
    """Whether a weight makes the scores over a vocabulary; `output` alone is GGUF's and Meta's."""
    return name == "output.weight" or name.endswith(("lm_head.weight", "embed_out.weight"))


def is_embedding(name: str) -> bool:
    """Whether a weight is looked up by number and takes part in no product."""
    last_two = ".".join(name.split(".")[-2:])
    return any(word in last_two for word in _EMBEDDINGS) and "patch" not in name


def _is_whole(value: object) -> bool:
    return str(value).isascii() and str(value).isdecimal() and len(str(value)) <= MAX_INDEX_DIGITS


def _is_table(name: str) -> bool:
    return name.endswith(
        ("embed_tokens.weight", "wte.weight", "shared.weight", "word_embeddings.weight")
    )
