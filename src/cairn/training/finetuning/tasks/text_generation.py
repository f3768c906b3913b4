"""Texts that are gone on with: a causal language model learns to write like its data."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cairn.errors import RequestError
from cairn.formats.fetched_folders import called
from cairn.training.finetuning.bases import load_model, load_tokenizer
from cairn.training.finetuning.measures.perplexity import perplexity
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.texts import IGNORED, length_of, text_of
from cairn.training.rows import Row


class TextGeneration(Task):
    """`AutoModelForCausalLM`; of a prompt and its completion the completion alone is learnt."""

    roles: ClassVar[Roles] = {"text": ("text", "content", "completion", "response", "output")}
    extra_roles: ClassVar[Roles] = {"prompt": ("prompt", "instruction", "question", "input")}
    texts: ClassVar[Sequence[str]] = ("text",)
    objective = Objective("perplexity", highest=False)
    head_stays = True

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        self.processor = load_tokenizer(materials.base)
        self.model, self.heads = load_model(
            "AutoModelForCausalLM", materials.base, self.recipe.method
        )
        if getattr(self.model, "loss_type", None) is None:  # GPT-2's is found, under a warning
            self.model.loss_type = "ForCausalLM"
        if self.processor.eos_token_id is None:
            raise RequestError(f"{called(materials.base)} has no token that ends a text")
        self._length = length_of(self.processor, self.model, self.recipe.max_length)
        before = self.processor("")["input_ids"][:1]
        self._first = before if before == [self.processor.bos_token_id] else []

    def example(self, row: Row) -> Example:
        """Tokens to the end of the text; those of a prompt are read and not learnt.

        Where it is too long, a prompt loses its start, and only then the text its end.
        """
        given = self._tokens(row, "prompt") if "prompt" in self.columns else []
        learnt = [*self._tokens(row, "text"), self.processor.eos_token_id]
        first = [] if [*given, *learnt][:1] == self._first else self._first
        learnt = learnt[: self._length - len(first)]
        room = self._length - len(first) - len(learnt)
        read = [*first, *given[max(0, len(given) - room) :]]
        return {"input_ids": [*read, *learnt], "labels": [*[IGNORED] * len(read), *learnt]}

    def _tokens(self, row: Row, role: str) -> list[int]:
        text = text_of(row, self.columns[role])
        found: list[int] = self.processor(text, add_special_tokens=False)["input_ids"]
        return found

    def collate(self, examples: list[Example]) -> Batch:
        """Padded at the end; padding is neither read nor learnt."""
        tokens = [torch.tensor(one["input_ids"]) for one in examples]
        labels = [torch.tensor(one["labels"]) for one in examples]
        mask = [torch.ones_like(one) for one in tokens]
        pad = nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(tokens, batch_first=True),
            "attention_mask": pad(mask, batch_first=True),
            "labels": pad(labels, batch_first=True, padding_value=IGNORED),
        }

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """For each text the sum of its tokens' losses, and how many they are."""
        told = model(**batch)
        logits, labels = told.logits[:, :-1].float(), batch["labels"][:, 1:]
        losses = functional.cross_entropy(
            logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
        )  # (texts, tokens)
        counts = (labels != IGNORED).sum(-1)
        return told.loss, zip(losses.sum(-1).tolist(), counts.tolist(), strict=True)

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`perplexity`."""
        return {"perplexity": perplexity(answers)}
