"""In-toto statements: something said (a predicate) about named bytes (subjects).

Specification: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cairn.errors import MalformedError
from cairn.formats.strict_json import parse_json
from cairn.provenance.signing.dsse import as_object

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True, slots=True)
class Subject:
    """Bytes by name and digests: algorithm to lower-case hex."""

    name: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Statement:
    """A predicate of some type about subjects."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def as_bytes(self) -> bytes:
        """The payload to sign."""
        value = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": s.name, "digest": dict(s.digests)} for s in self.subjects],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_statement(payload: bytes, source: str) -> Statement:
    """The statement in a payload.

    Raises:
        MalformedError: it is no in-toto statement of version 1 with a subject.
    """
    value = as_object(parse_json(payload, source, what="the statement"), "the statement", source)
    if value.get("_type") != STATEMENT_TYPE:
        raise MalformedError(
            f"a statement of type {str(value.get('_type'))[:100]!r}, not {STATEMENT_TYPE}",
            source=source,
        )
    subjects = value.get("subject")
    if not isinstance(subjects, list) or not subjects:
        raise MalformedError("the statement has no subject", source=source)
    kind = value.get("predicateType")
    if not isinstance(kind, str):
        raise MalformedError("the statement has no predicateType", source=source)
    predicate = as_object(value.get("predicate"), "the predicate", source)
    return Statement(tuple(_subject(one, source) for one in subjects), kind, predicate)


def _subject(value: object, source: str) -> Subject:
    fields = as_object(value, "a subject", source)
    name, digests = fields.get("name"), as_object(fields.get("digest"), "a digest", source)
    if not isinstance(name, str) or not all(isinstance(text, str) for text in digests.values()):
        raise MalformedError("a subject needs a name and digests in hex", source=source)
    return Subject(name, digests)
