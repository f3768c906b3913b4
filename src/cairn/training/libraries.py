"""Libraries of the extra `train`, imported when a task needs them and not before."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from cairn.errors import MissingExtraError

_EXTRAS = {"bitsandbytes": "qlora"}
_ADVISES = "bitsandbytes"  # while it is imported, also by peft, to install what is of no use here


def library(name: str) -> Any:
    """The module of this name.

    Raises:
        MissingExtraError: it is not installed; the message names the extra that has it.
    """
    try:
        with _without_advice():
            return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name != package:
            raise
        extra = _EXTRAS.get(package, "train")
        raise MissingExtraError(
            f"this needs {package}: pip install 'cairn-hub[{extra}]'"
        ) from error


@contextmanager
def _without_advice() -> Iterator[None]:
    log = logging.getLogger(_ADVISES)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
