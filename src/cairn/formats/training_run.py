"""`run.json`: what a training run says of itself, as bytes and back.

Its keys are listed in docs/formats/cairn-training.md.
"""

import json
from collections.abc import Iterator
from typing import Any

from cairn.domain import (
    BaseModel,
    Digest,
    RecipeKind,
    Retention,
    RunOrders,
    RunRecord,
    RunStatus,
    Source,
    TrainingData,
    TrainingRecipe,
    TrainingSession,
)
from cairn.errors import MalformedError, RequestError, UnavailableError
from cairn.formats.limits import MAX_RUN_RECORD_BYTES
from cairn.formats.strict_json import MisstatedError, parse_json, read_json, value_of

RUN = "run.json"
LOCK = ".run.lock"
"""Locked by the process that writes a run."""

ORDERS = "CAIRN_RUN"
"""The environment variable that tells a program what to do with its run."""

PUSHED = ".run.pushed.json"
"""Which checkpoints a folder pushed where; what retention removes here goes there as well."""

FORMAT = "cairn-run"
VERSION = 1
"""The newest version of the format, and the only one so far."""


def run_bytes(run: RunRecord) -> bytes:
    """The document of a record."""
    said: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "id": run.id,
        "name": run.name,
        "status": run.status.value,
        "error": run.error,
        "changed": run.changed,
        "seed": run.seed,
        "base": None if run.base is None else _said_base(run.base),
        "data": [{"where": one.where, "digest": one.digest} for one in run.data],
        "sessions": [
            {
                "started": one.started,
                "from_step": one.from_step,
                "recipe": _said_recipe(one.recipe),
                "environment": dict(one.environment),
            }
            for one in run.sessions
        ],
        "keep": None if run.keep is None else _said_keep(run.keep),
        "notes": dict(run.notes),
    }
    return json.dumps(said, indent=1, allow_nan=False).encode() + b"\n"


def _said_recipe(recipe: TrainingRecipe) -> dict[str, Any]:
    return {
        "kind": recipe.kind.value,
        "program": recipe.program,
        "digest": None if recipe.digest is None else str(recipe.digest),
        "arguments": list(recipe.arguments),
        "directory": recipe.directory,
        "folder": recipe.folder,
    }


def _said_base(base: BaseModel) -> dict[str, Any]:
    digests = {path: str(digest) for path, digest in base.digests.items()}
    return {"where": base.where, "revision": base.revision, "digests": digests}


def _said_keep(keep: Retention) -> dict[str, Any]:
    return {
        "last": keep.last,
        "every": keep.every,
        "best": keep.best,
        "metric": keep.metric,
        "highest": keep.highest,
    }


def read_run(source: Source) -> RunRecord:
    """The record of a run.

    Raises:
        MalformedError, LimitError: it is none.
        UnavailableError: it was written by a newer Cairn.
    """
    said = read_json(source, MAX_RUN_RECORD_BYTES, what=RUN)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise MalformedError(f"{RUN} is not that of a training run", source=source.name)
    version = said.get("version")
    if type(version) is not int or version < 1:
        raise MalformedError(f"{RUN} has the version {str(version)[:40]}", source=source.name)
    if version > VERSION:
        raise UnavailableError(
            f"{source.name} has version {version} of the format; this Cairn reads up to {VERSION}:"
            " read it with a newer one"
        )
    try:
        return _record(said)
    except KeyError as error:
        raise MalformedError(f"{RUN} lacks {error}", source=source.name) from None
    except (MisstatedError, RequestError, ValueError) as error:
        raise MalformedError(f"{RUN} misstates {error}", source=source.name) from None


def _record(said: dict[str, Any]) -> RunRecord:
    base, keep = value_of(said, "base", dict, type(None)), value_of(said, "keep", dict, type(None))
    return RunRecord(
        id=value_of(said, "id", str),
        name=value_of(said, "name", str),
        status=RunStatus(value_of(said, "status", str)),
        changed=value_of(said, "changed", str),
        sessions=tuple(_session(one) for one in _objects(said, "sessions")),
        error=value_of(said, "error", str, type(None)),
        seed=value_of(said, "seed", int, type(None)),
        base=None if base is None else _base(base),
        data=tuple(_data(one) for one in _objects(said, "data")),
        keep=None if keep is None else _keep(keep),
        notes=value_of(said, "notes", dict),
    )


def _recipe(said: dict[str, Any]) -> TrainingRecipe:
    digest = value_of(said, "digest", str, type(None))
    return TrainingRecipe(
        RecipeKind(value_of(said, "kind", str)),
        value_of(said, "program", str),
        None if digest is None else _digest(digest),
        tuple(_texts(said, "arguments")),
        value_of(said, "directory", str),
        value_of(said, "folder", str),
    )


def _base(said: dict[str, Any]) -> BaseModel:
    digests = value_of(said, "digests", dict)
    found = {path: _digest(value_of(digests, path, str)) for path in digests}
    return BaseModel(
        value_of(said, "where", str), value_of(said, "revision", str, type(None)), found
    )


def _data(said: dict[str, Any]) -> TrainingData:
    return TrainingData(value_of(said, "where", str), value_of(said, "digest", str, type(None)))


def _session(said: dict[str, Any]) -> TrainingSession:
    environment = value_of(said, "environment", dict)
    return TrainingSession(
        value_of(said, "started", str),
        value_of(said, "from_step", int, type(None)),
        _recipe(value_of(said, "recipe", dict)),
        {key: value_of(environment, key, str, int, bool, type(None)) for key in environment},
    )


def _keep(said: dict[str, Any]) -> Retention:
    return Retention(
        last=value_of(said, "last", int),
        every=value_of(said, "every", int),
        best=value_of(said, "best", int),
        metric=value_of(said, "metric", str),
        highest=value_of(said, "highest", bool),
    )


def _digest(text: str) -> Digest:
    algorithm, _, digits = text.partition(":")
    return Digest(algorithm, digits)


def _objects(said: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    for one in value_of(said, key, list):
        if not isinstance(one, dict):
            raise MisstatedError(repr(key))
        yield one


def _texts(said: dict[str, Any], key: str) -> Iterator[str]:
    for one in value_of(said, key, list):
        if not isinstance(one, str):
            raise MisstatedError(repr(key))
        yield one


# --- the variable CAIRN_RUN ----------------------------------------------------------------


def orders_text(orders: RunOrders) -> str:
    """What the variable says."""
    return json.dumps(
        {
            "folder": orders.folder,
            "into": orders.into,
            "step": orders.step,
            "allow": list(orders.allow),
            "until": orders.until,
        }
    )


def parse_orders(text: str) -> RunOrders:
    """What a variable says.

    Raises:
        MalformedError: it says something else.
    """
    said = parse_json(text.encode("utf-8", "replace"), ORDERS, what="the variable")
    try:
        return RunOrders(
            value_of(said, "folder", str),
            value_of(said, "into", str, type(None)),
            value_of(said, "step", int, type(None)),
            tuple(_texts(said, "allow")),
            value_of(said, "until", int, type(None)) if "until" in said else None,
        )
    except (KeyError, TypeError, MisstatedError) as error:
        raise MalformedError(f"it lacks or misstates {error}", source=ORDERS) from None
