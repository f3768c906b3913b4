"""Libraries of the extra `train`, imported when a task needs them and not before."""

from importlib import import_module
from typing import Any

from cairn.errors import MissingExtraError

_EXTRAS = {"bitsandbytes": "qlora"}


def library(name: str) -> Any:
    """The module of this name.

    Raises:
        MissingExtraError: it is not installed; the message names the extra that has it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name != package:
            raise
        extra = _EXTRAS.get(package, "train")
        raise MissingExtraError(
            f"this needs {package}: pip install 'cairn-hub[{extra}]'"
        ) from error
