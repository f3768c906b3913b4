"""What kind of model a checkpoint is, each statement with what it was read from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One number or word about a model. `value` None: it cannot be known, `evidence` says why."""

    value: Scalar
    evidence: str


@dataclass(frozen=True, slots=True)
class Module:
    """A module of a model: its own name, its class where a file says so, what is below it.

    `parameters` counts the elements of weights in it and below; `tensors` all its tensors
    likewise.
    """

    name: str
    class_name: str = ""
    parameters: int = 0
    tensors: int = 0
    children: tuple["Module", ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "Module"]]:
        """The module and all below it, each with its depth, parents first."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(frozen=True, slots=True)
class Architecture:
    """What kind of model it is, and what says so.

    `family` is a lower-case label such as `bert`; `evidence` names the file and key, the graph,
    the classes or the tensor names it was read from. `config` holds the scalar settings as
    declared. `facts` holds what people compare models by, under the keys of HF configurations
    (`num_hidden_layers`, `hidden_size`, `num_attention_heads`, `vocab_size`, ...). `parts` are the
    models that a pipeline consists of, by the folder they lie in.
    """

    family: str
    class_name: str | None
    evidence: str
    config: Mapping[str, Scalar] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    parts: Mapping[str, "Architecture"] = field(default_factory=dict)
