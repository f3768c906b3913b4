"""What a task is: how a row becomes an example, what is minimised, and what is measured."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from cairn.domain.finetuning import FineTuning, Method
from cairn.errors import RequestError
from cairn.training.finetuning.heads import Heads
from cairn.training.rows import Noticed, Row, Rows, row_name
from cairn.training.sampler import SampleIndex

Example = dict[str, Any]
"""One sample before it is put into a batch."""
Batch = dict[str, Any]
"""Samples together: tensors with them as the first dimension, or a list of what they have."""
Roles = Mapping[str, tuple[str, ...]]
"""What columns are for, each with the names that it usually has beside its own."""


@dataclass(frozen=True, slots=True)
class Materials:
    """What a task is made from: a base on this machine, a recipe, and rows.

    `measured` are rows of their own to measure with, None where some of `rows` are held out.
    """

    base: Path
    recipe: FineTuning
    rows: Rows
    measured: Rows | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """The number that says which of two models is better."""

    metric: str
    highest: bool


class Task(ABC):
    """A model with its processor, and what to do with a row; made once for a run.

    `roles` has the usual names of the columns that a row must have, `extra_roles` of those it may
    have; `texts` are the roles of texts that teach little where they are empty. `heads` are the
    modules above the body of the model, which a base may lack; `head_stays` says that an adapter
    leaves those that the base has as they are, and else they are trained whole. `targets` are
    modules to adapt, where the family does not say it.
    """

    roles: ClassVar[Roles]
    extra_roles: ClassVar[Roles] = {}
    texts: ClassVar[Sequence[str]] = ()
    library_name: ClassVar[str] = "transformers"
    head_stays: ClassVar[bool] = False
    methods: ClassVar[Sequence[Method]] = tuple(Method)

    objective: Objective
    processor: Any  # what makes numbers of texts, pictures or sounds
    model: Any  # an nn.Module with the methods that its library gives it
    heads: Heads = Heads()
    targets: Sequence[str] = ()
    class_names: Sequence[str] = ()
    """In the order of their numbers, where the task knows classes."""
    rows: Noticed
    """Those to learn from."""

    def __init__(self, materials: Materials) -> None:
        """Load the base.

        Raises:
            RequestError: base, data and task do not go together.
        """
        self.recipe = recipe = materials.recipe
        if recipe.method not in self.methods:
            known = ", ".join(self.methods)
            raise RequestError(f"{recipe.task} is not learnt by {recipe.method}, only by {known}")
        self.columns = chosen_columns(
            self.roles, self.extra_roles, materials.rows, materials.recipe.columns
        )
        if materials.measured is not None:
            _check_columns(self.columns, materials.measured, materials.rows)
        texts = [self.columns[role] for role in self.texts if role in self.columns]
        self.rows = Noticed(materials.rows, texts)
        self._measured = materials.measured

    def seen(self) -> Iterator[tuple[str, Row]]:
        """All rows with what a message calls them: those to learn from and those to measure with.

        Classes are looked for on both sides, so that a rare one which is only measured with has
        a number too, and a label that is none is found before anything is trained.
        """
        for rows in [self.rows] if self._measured is None else [self.rows, self._measured]:
            for number, row in enumerate(rows):
                yield row_name(rows, number), row

    def said_of_rows(self) -> str:
        """What is to be known of the rows before they are learnt from; empty if nothing is."""
        count = self.rows.count_empty()
        if not count:
            return ""
        columns = " or ".join(repr(self.columns[r]) for r in self.texts if r in self.columns)
        have, are, as_they = ("have", "are", "they are") if count > 1 else ("has", "is", "it is")
        return (
            f"{count:,} of {len(self.rows):,} rows of {self.rows.name} {have} nothing in {columns},"
            f" and {are} used as {as_they}"
        )

    @abstractmethod
    def example(self, row: Row) -> Example:
        """One sample, as it is measured with."""

    def varied(self, row: Row, index: SampleIndex) -> Example:
        """One sample to learn from; what is random about it follows from the seed of `index`."""
        del index
        return self.example(row)

    @abstractmethod
    def collate(self, examples: list[Example]) -> Batch:
        """A batch, padded as the model wants it."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What is minimised: the mean over the samples of a batch."""
        found: Tensor = model(**batch).loss
        return found

    @abstractmethod
    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The loss of a batch, and for each sample what `measure` wants of it, as JSON has it."""

    @abstractmethod
    def measure(self, answers: list[Any]) -> dict[str, float]:
        """Numbers of all samples that were held out."""

    def save(self, model: Any, folder: Path) -> None:
        """Write what stock loaders load, the processor too."""
        if hasattr(model, "peft_config"):  # peft would ask huggingface.co whether words were added
            model.save_pretrained(folder, save_embedding_layers=False)
        else:
            model.save_pretrained(folder)
        self.processor.save_pretrained(folder)


def chosen_columns(
    roles: Roles,
    extra: Roles,
    rows: Rows,
    named: Mapping[str, str],
) -> dict[str, str]:
    """The column of each role: as named, else by its usual names.

    Raises:
        RequestError: a role has none, or something was named that is not there.
    """
    known = {**roles, **extra}
    for role, column in named.items():
        if role not in known:
            raise RequestError(f"this task has no {role!r}: its columns are {', '.join(known)}")
        if column not in rows.columns:
            raise RequestError(f"{rows.name} has no column {column!r}, only {_listed(rows)}")
    found = dict(named)
    for role, names in known.items():
        usual = next((name for name in (role, *names) if name in rows.columns), None)
        if role not in found and usual is not None and usual not in found.values():
            found[role] = usual
        if role in roles and role not in found:
            raise RequestError(
                f"{rows.name} has no column for {role!r} among {_listed(rows)}:"
                f" name it with --columns {role}=NAME"
            )
    return found


def _check_columns(columns: Mapping[str, str], measured: Rows, learnt: Rows) -> None:
    for column in columns.values():
        if column not in measured.columns:
            raise RequestError(
                f"{measured.name}, which is to be measured with, has no column {column!r} as"
                f" {learnt.name} has, only {_listed(measured)}: name its columns alike"
            )


def _listed(rows: Rows) -> str:
    return ", ".join(rows.columns) or "none"


MakesTask = Callable[[Materials], Task]
