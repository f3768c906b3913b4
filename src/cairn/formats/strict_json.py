"""JSON from strangers: strict UTF-8, no duplicate keys, no surprises from Python's leniency.

Grammar: https://www.rfc-editor.org/rfc/rfc8259. Beyond it, an object may name a key once.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_JSON_DIGITS


class _RefusedError(ValueError):
    """Carries a message out of the hooks of the standard library's parser."""


def parse_json(data: bytes, source: str, *, what: str, constants: bool = False) -> Any:
    """The value of a JSON document.

    `what` names the document in messages. `constants` also takes NaN and Infinity, which
    Python's own writer puts into configuration files (Mamba-2's `time_step_limit`).

    Raises:
        MalformedError: not UTF-8, not JSON, nested too deeply, a duplicate key, an integer of
            more than 40 digits, or a string with half a surrogate pair.
    """

    def refuse_constant(text: str) -> NoReturn:
        raise _RefusedError(f"{text} is not JSON")

    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_constant=None if constants else refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what} is not UTF-8", source=source, offset=error.start) from None
    except RecursionError:
        raise MalformedError(f"{what} is nested too deeply", source=source) from None
    except json.JSONDecodeError as error:
        raise MalformedError(
            f"{what} is not JSON: {error.msg} at character {error.pos}", source=source
        ) from None
    except _RefusedError as error:
        raise MalformedError(f"{what}: {error}", source=source) from None


def read_json(source: Source, max_bytes: int, *, what: str, constants: bool = False) -> Any:
    """The value of a whole source of at most `max_bytes`.

    Raises:
        LimitError: the source is larger.
        MalformedError: as `parse_json`.
    """
    if source.size_bytes > max_bytes:
        raise LimitError(
            f"{what} has {source.size_bytes} bytes, at most {max_bytes} are read",
            source=source.name,
        )
    data = source.read_at(0, source.size_bytes)
    return parse_json(data, source.name, what=what, constants=constants)


class MisstatedError(Exception):
    """Names a key of a parsed document whose value is of another type than it has to be."""


def value_of(said: Mapping[str, Any], key: str, *kinds: type) -> Any:
    """The value under a key, exactly of one of these types: True is no integer.

    Raises:
        KeyError: the key is missing.
        MisstatedError: its value is of another type.
    """
    value = said[key]
    if type(value) not in kinds:
        raise MisstatedError(repr(key[:200]))
    return value


def is_integer(value: object) -> bool:
    """Whether a parsed value is an integer; `True` is one to Python and not to JSON."""
    return isinstance(value, int) and not isinstance(value, bool)


def _integer(text: str) -> int:
    if len(text) > MAX_JSON_DIGITS:
        raise _RefusedError(f"an integer of {len(text)} digits")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError(f"key {key[:200]!r} appears twice")
            seen.add(key)
    for key, value in pairs:
        _refuse_half_surrogates(key)
        if isinstance(value, str):
            _refuse_half_surrogates(value)
    return made


def _refuse_half_surrogates(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _RefusedError("a string holds half a surrogate pair") from None
