"""Where files come from: who built them, from which inputs, with which code and environment.

A statement of type `https://slsa.dev/provenance/v1`: its subjects are the files, each with its
SHA-256, its predicate has a `buildDefinition` (how, and from what) and `runDetails` (who, when).
Inputs are `resolvedDependencies`; which role one had is its annotation `role`.
Specification: https://slsa.dev/spec/v1.1/provenance.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cairn.errors import MalformedError, RequestError
from cairn.provenance.signing.dsse import as_object
from cairn.provenance.signing.statements import Statement, Subject

PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
MAX_INPUTS = 1000
MAX_TEXT_CHARS = 2000

_HEX = re.compile(r"[0-9a-f]{8,128}\Z")


class InputRole(StrEnum):
    """What an input was for; OTHER where a statement says nothing that is known here."""

    BASE = "base"
    DATASET = "dataset"
    CODE = "code"
    ENVIRONMENT = "environment"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class BuildInput:
    """Something that went in: where it is, and digests by algorithm (`sha256`, `gitCommit`).

    Raises:
        RequestError: no place or no digest: an input that cannot be recognised proves nothing.
    """

    role: InputRole
    uri: str
    digests: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.uri or not self.digests:
            raise RequestError(f"input {self.uri[:200]!r}: give its place and a digest")
        for algorithm, digest in self.digests.items():
            if not _HEX.match(digest):
                raise RequestError(f"{self.uri[:200]!r}: {digest[:100]!r} is no {algorithm}")


@dataclass(frozen=True, slots=True)
class BuildProvenance:
    """How files came to be. `builder` is a URI for who ran it, `build_type` one for the recipe.

    Raises:
        RequestError: one of them is missing.
    """

    builder: str
    build_type: str
    inputs: tuple[BuildInput, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    finished: datetime | None = None

    def __post_init__(self) -> None:
        for what, uri in (("builder", self.builder), ("build type", self.build_type)):
            if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:\S", uri):
                raise RequestError(f"the {what} {uri[:200]!r} is not a URI")

    def statement(self, digests: Mapping[str, str]) -> Statement:
        """The statement to sign about files, by path and SHA-256 in hex."""
        metadata = {"startedOn": self.started, "finishedOn": self.finished}
        predicate = {
            "buildDefinition": {
                "buildType": self.build_type,
                "externalParameters": dict(self.parameters),
                "resolvedDependencies": [
                    {
                        "uri": one.uri,
                        "digest": dict(one.digests),
                        "annotations": {"role": one.role.value},
                    }
                    for one in self.inputs
                ],
            },
            "runDetails": {
                "builder": {"id": self.builder},
                "metadata": {key: at.isoformat() for key, at in metadata.items() if at is not None},
            },
        }
        subjects = [Subject(path, {"sha256": digests[path]}) for path in sorted(digests)]
        return Statement(tuple(subjects), PROVENANCE_TYPE, predicate)


def read_provenance(statement: Statement, source: str) -> BuildProvenance:
    """What a statement says of a build; what it says beyond that is left in the bundle.

    Raises:
        MalformedError: it is no SLSA provenance, or lacks what this must have.
    """
    if statement.predicate_type != PROVENANCE_TYPE:
        raise MalformedError(
            f"a statement about {statement.predicate_type[:100]!r}, not {PROVENANCE_TYPE}",
            source=source,
        )
    build = as_object(statement.predicate.get("buildDefinition"), "buildDefinition", source)
    run = as_object(statement.predicate.get("runDetails"), "runDetails", source)
    builder = as_object(run.get("builder"), "builder", source)
    metadata = as_object(run.get("metadata", {}), "metadata", source)
    inputs = build.get("resolvedDependencies", [])
    if not isinstance(inputs, list) or len(inputs) > MAX_INPUTS:
        raise MalformedError(f"want at most {MAX_INPUTS} resolvedDependencies", source=source)
    try:
        return BuildProvenance(
            builder=_text(builder.get("id"), "builder.id", source),
            build_type=_text(build.get("buildType"), "buildType", source),
            inputs=tuple(_input(one, source) for one in inputs),
            parameters=as_object(build.get("externalParameters"), "externalParameters", source),
            started=_moment(metadata.get("startedOn"), source),
            finished=_moment(metadata.get("finishedOn"), source),
        )
    except RequestError as error:
        raise MalformedError(str(error), source=source) from None


def subject_digests(statement: Statement, source: str) -> dict[str, str]:
    """The files a statement is about, by path and SHA-256 in hex.

    Raises:
        MalformedError: a subject has no SHA-256, or two have the same name.
    """
    found: dict[str, str] = {}
    for subject in statement.subjects:
        digest = subject.digests.get("sha256")
        if digest is None or subject.name in found:
            raise MalformedError(
                f"subject {subject.name[:200]!r} has no sha256, or appears twice", source=source
            )
        found[subject.name] = digest
    return found


def _input(value: object, source: str) -> BuildInput:
    fields = as_object(value, "a resolved dependency", source)
    annotations = as_object(fields.get("annotations", {}), "annotations", source)
    digests = as_object(fields.get("digest"), "the digest of a dependency", source)
    if not all(isinstance(one, str) for one in digests.values()):
        raise MalformedError("a digest is not text", source=source)
    role = annotations.get("role")
    known = next((one for one in InputRole if one.value == role), InputRole.OTHER)
    return BuildInput(known, _text(fields.get("uri") or fields.get("name"), "uri", source), digests)


def _text(value: object, what: str, source: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise MalformedError(f"{what} is not text of at most {MAX_TEXT_CHARS}", source=source)
    return value


def _moment(value: object, source: str) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(_text(value, "a time", source))
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise MalformedError(f"{value!r:.60} is no RFC 3339 time", source=source)
