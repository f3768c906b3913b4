"""Words get tags: names of people and places, parts of speech."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cairn.errors import RequestError
from cairn.formats.fetched_folders import called
from cairn.training.finetuning.bases import known_labels, load_model, load_tokenizer
from cairn.training.finetuning.measures.spans import span_measures
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.classes import as_labels, class_names, class_number
from cairn.training.finetuning.tasks.texts import IGNORED, length_of, padded
from cairn.training.rows import Row


class TokenClassification(Task):
    """`AutoModelForTokenClassification`; the first token of a word has its tag, others none."""

    roles: ClassVar[Roles] = {
        "tokens": ("tokens", "words"),
        "tags": ("ner_tags", "tags", "labels", "pos_tags"),
    }
    texts: ClassVar[Sequence[str]] = ("tokens",)
    objective = Objective("f1", highest=True)

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        self.processor = load_tokenizer(materials.base, add_prefix_space=True)
        if not self.processor.is_fast:
            raise RequestError(f"{called(materials.base)} has no fast tokenizer (tokenizer.json)")
        column = self.columns["tags"]
        known = known_labels(materials.base)
        self.class_names = class_names(self.seen(), self._tags, known, column)
        self._numbers = {name: number for number, name in enumerate(self.class_names)}
        self.model, self.heads = load_model(
            "AutoModelForTokenClassification",
            materials.base,
            self.recipe.method,
            **as_labels(self.class_names),
        )
        self._length = length_of(self.processor, self.model, self.recipe.max_length)

    def _listed(self, row: Row, role: str) -> Sequence[Any]:
        """A list, or in CSV a text with spaces between."""
        value = row[self.columns[role]]
        found = value.split() if isinstance(value, str) else value
        if not isinstance(found, list):
            raise RequestError(f"{self.columns[role]!r} is no list in a row: {str(value)[:80]}")
        return found

    def _tags(self, row: Row) -> Sequence[Any]:
        return self._listed(row, "tags")

    def example(self, row: Row) -> Example:
        """Tokens of the words, and the number of each word's tag at its first token."""
        words, tags = self._listed(row, "tokens"), self._listed(row, "tags")
        if len(words) != len(tags):
            raise RequestError(f"it has {len(words)} words and {len(tags)} tags: {words[:5]}")
        tokens = self.processor(
            words, is_split_into_words=True, truncation=True, max_length=self._length
        )
        labels, before = [], None
        for word in tokens.word_ids():
            is_first = word is not None and word != before
            labels.append(
                class_number(self._numbers, tags[word], self.columns["tags"])
                if is_first
                else IGNORED
            )
            before = word
        return {**tokens, "labels": labels}

    def collate(self, examples: list[Example]) -> Batch:
        """Tokens and tags padded to the longest of the batch."""
        labels = [torch.tensor(one["labels"]) for one in examples]
        tokens = [{n: v for n, v in one.items() if n != "labels"} for one in examples]
        padding = nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        return {**padded(self.processor, tokens), "labels": padding}

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The tags of each text, found and true."""
        told = model(**batch)
        found, true = told.logits.argmax(-1).tolist(), batch["labels"].tolist()
        return told.loss, [
            (
                [self.class_names[f] for f, t in zip(mine, its, strict=True) if t != IGNORED],
                [self.class_names[t] for t in its if t != IGNORED],
            )
            for mine, its in zip(found, true, strict=True)
        ]

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`precision`, `recall`, `f1` of spans, `accuracy` of tags."""
        return span_measures(answers)
