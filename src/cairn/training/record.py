"""`checkpoint.json`: everything a training checkpoint says beside its tensors.

Its keys are listed in docs/formats/cairn-training.md.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cairn.domain import Digest
from cairn.domain.runs import Setting
from cairn.errors import IntegrityError, MalformedError, NamingError, UnavailableError
from cairn.formats.strict_json import MisstatedError, parse_json, value_of
from cairn.formats.training_record import FORMAT, RECORD, VERSION
from cairn.training.ranks.record import RanksRecord, parse_ranks
from cairn.training.values import Json

_SETTINGS = (str, int, bool, type(None))
_FILE = re.compile(r"[A-Za-z0-9_]{1,100}(?:\.rank-\d{1,7})?\.safetensors\Z")
_OF_ONE_PROCESS = 1


@dataclass(frozen=True, slots=True)
class SavedPart:
    """A part as it is kept: its sort and class, the file of its tensors, its state as JSON."""

    kind: str
    class_name: str
    file: str | None
    state: Json


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of the folder: its size and the digest of its bytes."""

    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Record:
    """What `checkpoint.json` says; `metrics` and `values` are JSON of `cairn.training.values`."""

    step: int
    saved_at: str
    accumulated: int
    metrics: Json
    values: Json
    environment: Mapping[str, Setting]
    parts: Mapping[str, SavedPart]
    files: Mapping[str, SavedFile] = field(default_factory=dict)
    ranks: RanksRecord = field(default_factory=RanksRecord)

    def to_bytes(self) -> bytes:
        """The document, with its own digest."""
        said: dict[str, Json] = {
            "format": FORMAT,
            "version": VERSION if self._is_shared_out else _OF_ONE_PROCESS,
            "step": self.step,
            "saved_at": self.saved_at,
            "accumulated": self.accumulated,
            "metrics": self.metrics,
            "values": self.values,
            "environment": dict(self.environment),
            "parts": {
                name: {"kind": p.kind, "class": p.class_name, "file": p.file, "state": p.state}
                for name, p in self.parts.items()
            },
            "files": files_json(self.files),
            **({"ranks": self.ranks.to_json()} if self._is_shared_out else {}),
        }
        return json.dumps({**said, "sha256": _digest(said)}, allow_nan=False).encode()

    @property
    def _is_shared_out(self) -> bool:
        return self.ranks != RanksRecord()


def files_json(files: Mapping[str, SavedFile]) -> Json:
    """Files as they stand in the record."""
    return {
        name: {"bytes": file.size_bytes, "digest": str(file.digest)} for name, file in files.items()
    }


def _digest(said: Mapping[str, Json]) -> str:
    text = json.dumps(said, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_record(data: bytes, source: str) -> Record:
    """The record in a document.

    Raises:
        MalformedError: it is none.
        UnavailableError: it was written by a newer Cairn.
        IntegrityError: it is not what was written.
    """
    said = parse_json(data, source, what=RECORD)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise MalformedError(f"{RECORD} is not that of a training checkpoint", source=source)
    version = said.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise UnavailableError(
            f"{source} has version {version!r} of the format; this Cairn reads up to {VERSION}:"
            " resume with a newer one"
        )
    digest = said.pop("sha256", None)
    if digest != _digest(said):
        raise IntegrityError(f"{source} is damaged: it is not what was written")
    try:
        return _record(said)
    except (KeyError, MisstatedError, NamingError) as error:
        raise MalformedError(f"{RECORD} lacks or misstates {error}", source=source) from None


def _record(said: dict[str, Any]) -> Record:
    environment = value_of(said, "environment", dict)
    return Record(
        step=value_of(said, "step", int),
        saved_at=value_of(said, "saved_at", str),
        accumulated=value_of(said, "accumulated", int),
        metrics=value_of(said, "metrics", dict),
        values=said["values"],
        environment={key: value_of(environment, key, *_SETTINGS) for key in environment},
        parts={name: _part(one) for name, one in _objects(said, "parts")},
        files=dict(parse_files(said)),
        ranks=parse_ranks(value_of(said, "ranks", dict)) if "ranks" in said else RanksRecord(),
    )


def _part(said: dict[str, Any]) -> SavedPart:
    file = value_of(said, "file", str, type(None))
    return SavedPart(value_of(said, "kind", str), value_of(said, "class", str), file, said["state"])


def parse_files(said: dict[str, Any]) -> Iterator[tuple[str, SavedFile]]:
    """The files that a record lists.

    Raises:
        KeyError, MisstatedError, NamingError: it misstates one.
    """
    for name, one in _objects(said, "files"):
        if not _FILE.match(name):
            raise MisstatedError(f"the file {name[:200]!r}, which no part can have")
        algorithm, _, digits = value_of(one, "digest", str).partition(":")
        yield name, SavedFile(value_of(one, "bytes", int), Digest(algorithm, digits))


def _objects(said: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in value_of(said, key, dict):
        yield name, value_of(said[key], name, dict)
