"""Texts as tokens: how long they may be, and how they become a batch."""

from typing import Any

from cairn.errors import RequestError
from cairn.training.finetuning.tasks.base import Batch, Example
from cairn.training.rows import Row

IGNORED = -100
"""The label of a token that no loss looks at, as torch's cross-entropy has it."""

_USUAL_LENGTH = 512
# Where a tokenizer knows no limit it says a number without meaning, about 1e30.
_NO_LIMIT = 1_000_000
_LIMITS = ("max_position_embeddings", "n_positions")


def text_of(row: Row, column: str) -> str:
    """The text in a column; numbers are spelled.

    Raises:
        RequestError: there is none. MalformedError: a line of JSON has no such name.
    """
    value = row[column]
    if value is None or isinstance(value, list | dict | bytes):
        raise RequestError(f"{column!r} holds no text in a row: {str(value)[:80]}")
    return str(value)


def length_of(tokenizer: Any, model: Any, asked: int | None) -> int:
    """The most tokens of a sample: as asked, else 512, and never more than the model bears.

    Raises:
        RequestError: more was asked for than the model bears.
    """
    limits = [getattr(model.config, name, None) for name in _LIMITS]
    limits.append(tokenizer.model_max_length)
    bears = min((one for one in limits if one and one < _NO_LIMIT), default=_NO_LIMIT)
    if asked is not None and asked > bears:
        raise RequestError(f"max-length is {asked}, and the model takes {bears} tokens at most")
    return asked or min(bears, _USUAL_LENGTH)


def padded(tokenizer: Any, examples: list[Example]) -> Batch:
    """Examples of one tokenizer as tensors, padded to the longest."""
    found: Batch = dict(tokenizer.pad(examples, padding=True, return_tensors="pt"))
    return found
