"""Texts that become others: translation, summaries, corrections."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cairn.training.finetuning.bases import load_model, load_tokenizer
from cairn.training.finetuning.measures.texts import written_measures
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.texts import IGNORED, length_of, padded, text_of
from cairn.training.rows import Row

_LONGEST_WRITTEN = 128  # tokens, when held-out texts are written


class Text2TextGeneration(Task):
    """`AutoModelForSeq2SeqLM`; held-out texts are written greedily and compared."""

    roles: ClassVar[Roles] = {
        "source": ("source", "input", "text", "document", "article", "question"),
        "target": ("target", "output", "summary", "answer", "highlights", "label"),
    }
    texts: ClassVar[Sequence[str]] = ("source", "target")
    objective = Objective("rougeL", highest=True)
    head_stays = True

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        self.processor = load_tokenizer(materials.base)
        self.model, self.heads = load_model(
            "AutoModelForSeq2SeqLM", materials.base, self.recipe.method
        )
        self._length = length_of(self.processor, self.model, self.recipe.max_length)

    def example(self, row: Row) -> Example:
        """Tokens of both texts, cut at the longest the model takes."""
        source, target = (text_of(row, self.columns[role]) for role in ("source", "target"))
        cut = {"truncation": True, "max_length": self._length}
        tokens = self.processor(source, **cut)
        return {**tokens, "labels": self.processor(text_target=target, **cut)["input_ids"]}

    def collate(self, examples: list[Example]) -> Batch:
        """Both sides padded to the longest of the batch."""
        labels = [torch.tensor(one["labels"]) for one in examples]
        tokens = [{n: v for n, v in one.items() if n != "labels"} for one in examples]
        padding = nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        return {**padded(self.processor, tokens), "labels": padding}

    def answers(self, model: Any, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The text written, and the true one."""
        loss = model(**batch).loss
        labels = batch["labels"]
        given = {name: value for name, value in batch.items() if name != "labels"}
        longest = min(_LONGEST_WRITTEN, labels.shape[1] + 8)
        written = model.generate(**given, max_new_tokens=longest, do_sample=False, num_beams=1)
        true = labels.masked_fill(labels == IGNORED, self.processor.pad_token_id)
        return loss, zip(self._texts(written), self._texts(true), strict=True)

    def _texts(self, tokens: Tensor) -> list[str]:
        found: list[str] = self.processor.batch_decode(tokens, skip_special_tokens=True)
        return found

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`rougeL`, `exact_match`."""
        return written_measures(answers)
