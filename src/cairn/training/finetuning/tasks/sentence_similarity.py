"""Texts become vectors, near each other where the texts mean the same.

Rows are pairs with a score, pairs that belong together, or triplets with one that does not.
Losses are those of Reimers and Gurevych, "Sentence-BERT", 2019, https://arxiv.org/abs/1908.10084
(cosine against score), and of Henderson et al., 2017, https://arxiv.org/abs/1705.00652 (the
partners of others in the batch are wrong ones).
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cairn.errors import RequestError
from cairn.formats.fetched_folders import called
from cairn.formats.strict_json import parse_json
from cairn.training.finetuning.bases import load_model, load_tokenizer
from cairn.training.finetuning.measures.similarity import spearman
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.sentence_modules import describe_sentence_transformer
from cairn.training.finetuning.tasks.texts import length_of, padded, text_of
from cairn.training.rows import Row

_SCALE = 20.0  # of cosines before the softmax, as sentence-transformers has it
_SIDES = ("first", "second", "third")
# What sentence-transformers lays beside a model.
_POOLING = Path("1_Pooling/config.json")
_MODULES = "modules.json"
_BESIDE = (_MODULES, "sentence_bert_config.json", "config_sentence_transformers.json")


class SentenceSimilarity(Task):
    """`AutoModel` with the pooling of its base, the mean over tokens unless that says otherwise."""

    roles: ClassVar[Roles] = {
        "first": ("sentence1", "anchor", "query", "text1", "question"),
        "second": ("sentence2", "positive", "text2", "answer"),
    }
    extra_roles: ClassVar[Roles] = {
        "third": ("negative",),
        "score": ("score", "similarity", "label"),
    }
    texts: ClassVar[Sequence[str]] = _SIDES

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        self._base = materials.base
        measure = "spearman" if "score" in self.columns else "cosine_accuracy"
        self.objective = Objective(measure, highest=True)
        self.processor = load_tokenizer(materials.base)
        self.model, _ = load_model("AutoModel", materials.base, self.recipe.method)
        self._is_first_token = _pools_first_token(materials.base)
        self._length = length_of(self.processor, self.model, self.recipe.max_length)

    def example(self, row: Row) -> Example:
        """Tokens of two or three texts, and the score of a pair."""
        made: Example = {
            side: self.processor(
                text_of(row, self.columns[side]), truncation=True, max_length=self._length
            )
            for side in _SIDES
            if side in self.columns
        }
        if "score" in self.columns:
            made["score"] = _score(row[self.columns["score"]], self.columns["score"])
        return made

    def collate(self, examples: list[Example]) -> Batch:
        """All texts below each other: the first of every sample, then the second ones."""
        sides = [side for side in _SIDES if side in examples[0]]
        tokens = [one[side] for side in sides for one in examples]
        batch = padded(self.processor, tokens)
        shape = (len(sides), len(examples), -1)
        found = {name: v.view(shape).transpose(0, 1).contiguous() for name, v in batch.items()}
        if "score" in examples[0]:
            found["score"] = torch.tensor([one["score"] for one in examples])
        return found  # (samples, sides, tokens)

    def _vectors(self, model: nn.Module, batch: Batch) -> Tensor:
        """Of length 1: (samples, sides, dim)."""
        samples, sides = batch["input_ids"].shape[:2]
        flat = {name: v.flatten(0, 1) for name, v in batch.items() if name != "score"}
        states = model(**flat).last_hidden_state  # (texts, tokens, dim)
        if self._is_first_token:
            pooled = states[:, 0]
        else:
            mask = flat["attention_mask"].unsqueeze(-1)
            pooled = (states * mask).sum(1) / mask.sum(1)
        return functional.normalize(pooled.float(), dim=-1).view(samples, sides, -1)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Squared error of the cosine, or the cross-entropy of finding one's own partner."""
        return self._loss(self._vectors(model, batch), batch)

    def _loss(self, vectors: Tensor, batch: Batch) -> Tensor:
        first, second = vectors[:, 0], vectors[:, 1]
        if "score" in batch:
            return functional.mse_loss((first * second).sum(-1), batch["score"])
        others = torch.cat([second, *vectors[:, 2:].unbind(1)])  # (partners, dim)
        return functional.cross_entropy(
            _SCALE * first @ others.T, torch.arange(len(first), device=first.device)
        )

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """Cosine and score; or the cosine to one's partner, and the highest to any other."""
        vectors = self._vectors(model, batch)
        loss = self._loss(vectors, batch)
        first, second = vectors[:, 0], vectors[:, 1]
        own = (first * second).sum(-1)
        if "score" in batch:
            return loss, zip(own.tolist(), batch["score"].tolist(), strict=True)
        if vectors.shape[1] > 2:
            other = (first * vectors[:, 2]).sum(-1)
        else:
            cosines = first @ second.T
            other = cosines.fill_diagonal_(-1.0).amax(-1)  # of one sample alone: -1
        return loss, zip(own.tolist(), other.tolist(), strict=True)

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`spearman` of scored pairs, else `cosine_accuracy`: how often one's own is nearer.

        Where no row has a wrong partner, those of the same batch are: the number then depends on
        the size of batches.
        """
        if "score" in self.columns:
            found, true = zip(*answers, strict=True)
            return {"spearman": spearman(found, true)}
        return {"cosine_accuracy": sum(own > other for own, other in answers) / len(answers)}

    def save(self, model: Any, folder: Path) -> None:
        """As `from_pretrained` and `SentenceTransformer` want it; what the base says stays."""
        super().save(model, folder)
        if not (self._base / _MODULES).is_file():
            describe_sentence_transformer(
                folder, model.config.hidden_size, self._length, is_first_token=self._is_first_token
            )
        for name in (*_BESIDE, _POOLING):
            if (self._base / name).is_file():
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(self._base / name, folder / name)


def _score(value: Any, column: str) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise RequestError(f"{column!r} is {value!r} in a row, and no number") from None
    if not -1 <= score <= 1:
        raise RequestError(f"{column!r} is {score:g} in a row: scores are cosines, from -1 to 1")
    return score


def _pools_first_token(base: Path) -> bool:
    """Whether the base says that the vector of a text is that of its first token."""
    path = base / _POOLING
    if not path.is_file():
        return False
    said = parse_json(path.read_bytes(), str(path), what="the pooling")
    if not isinstance(said, dict):
        return False
    modes = {name for name, value in said.items() if name.startswith("pooling_mode") and value}
    known = {"pooling_mode_mean_tokens", "pooling_mode_cls_token"}
    if modes - known or len(modes) > 1:
        raise RequestError(
            f"{called(base)} pools by {', '.join(sorted(modes))}: mean or cls is known"
        )
    return "pooling_mode_cls_token" in modes
