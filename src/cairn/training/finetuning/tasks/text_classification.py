"""Texts, alone or in pairs, get one of several labels."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from cairn.training.finetuning.bases import known_labels, load_model, load_tokenizer
from cairn.training.finetuning.measures.classes import class_measures
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.classes import (
    ONE_OF_SEVERAL,
    as_labels,
    class_names,
    class_number,
)
from cairn.training.finetuning.tasks.texts import length_of, padded, text_of
from cairn.training.rows import Row


class TextClassification(Task):
    """`AutoModelForSequenceClassification`, cross-entropy, accuracy and F1."""

    roles: ClassVar[Roles] = {
        "text": ("text", "sentence", "sentence1", "content", "review", "premise"),
        "label": ("label", "labels", "class", "sentiment", "category"),
    }
    extra_roles: ClassVar[Roles] = {"second": ("text_pair", "sentence2", "hypothesis")}
    texts: ClassVar[Sequence[str]] = ("text",)
    objective = Objective("accuracy", highest=True)

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        self.processor = load_tokenizer(materials.base)
        column = self.columns["label"]
        known = known_labels(materials.base)
        self.class_names = names = class_names(
            self.seen(), lambda row: (row[column],), known, column
        )
        self.classes = {name: number for number, name in enumerate(names)}
        self.model, self.heads = load_model(
            "AutoModelForSequenceClassification",
            materials.base,
            self.recipe.method,
            **as_labels(names),
            **ONE_OF_SEVERAL,
        )
        if self.processor.pad_token_id is None:  # GPT-2: the head looks for the last other token
            self.processor.pad_token = self.processor.eos_token
        self.model.config.pad_token_id = self.processor.pad_token_id
        self._length = length_of(self.processor, self.model, self.recipe.max_length)

    def example(self, row: Row) -> Example:
        """Tokens of the text, cut at the longest the model takes."""
        texts = [text_of(row, self.columns["text"])]
        if "second" in self.columns:
            texts.append(text_of(row, self.columns["second"]))
        tokens = self.processor(*texts, truncation=True, max_length=self._length)
        column = self.columns["label"]
        return {**tokens, "labels": class_number(self.classes, row[column], column)}

    def collate(self, examples: list[Example]) -> Batch:
        """Texts padded to the longest of the batch."""
        return padded(self.processor, examples)

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The likeliest label and the true one."""
        found = model(**batch)
        pairs = zip(found.logits.argmax(-1).tolist(), batch["labels"].tolist(), strict=True)
        return found.loss, pairs

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`accuracy`, `f1`."""
        return class_measures(answers)
