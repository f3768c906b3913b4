"""What an OpenSSF model signature says: which files a model has, each by its digest.

A statement of type `https://model_signing/signature/v1.0`. Its predicate lists `resources`, one
for each file (name, digest, algorithm), and in `serialization` how they were found. Its subject is
the model; the subject's digest is SHA-256 over the raw digests of all resources in their order.
Specification: https://github.com/ossf/model-signing-spec/blob/main/spec/v1.0.md, sections 5 and 6.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cairn.errors import MalformedError, NamingError
from cairn.provenance.signing.dsse import as_object
from cairn.provenance.signing.statements import Statement, Subject

SIGNATURE_TYPE = "https://model_signing/signature/v1.0"

DEFAULT_IGNORED = (".git", ".gitattributes", ".github", ".gitignore")
"""Paths at the top of a model that no signature covers unless the signer wants it (6.2)."""

DIGEST_CHARS = {"sha256": 64, "blake3": 64, "blake2b": 128}
"""Hash algorithms of files, and the length of their digests in hex."""

_HEX = re.compile(r"[0-9a-f]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The files a signature covers: path to digest in hex, by one algorithm.

    `ignored` are the paths the signer left out, each with everything below it.

    Raises:
        NamingError: there is no file, or a path is not relative and normal.
    """

    name: str
    digests: Mapping[str, str]
    algorithm: str = "sha256"
    ignored: tuple[str, ...] = DEFAULT_IGNORED

    def __post_init__(self) -> None:
        if not self.digests:
            raise NamingError("there is no file to sign")
        for path in (*self.digests, *self.ignored):
            _check_path(path)

    @property
    def root_digest(self) -> str:
        """One digest for all files: SHA-256 over their raw digests in the order of the paths."""
        return _root(self.digests[path] for path in sorted(self.digests))

    def statement(self) -> Statement:
        """The statement to sign."""
        predicate = {
            "resources": [
                {"name": path, "digest": self.digests[path], "algorithm": self.algorithm}
                for path in sorted(self.digests)
            ],
            "serialization": {
                "method": "files",
                "hash_type": self.algorithm,
                "allow_symlinks": False,
                "ignore_paths": sorted(self.ignored),
            },
        }
        subject = Subject(self.name, {"sha256": self.root_digest})
        return Statement((subject,), SIGNATURE_TYPE, predicate)

    def leaves_out(self, path: str) -> bool:
        """Whether the signer left this path out."""
        return any(path == one or path.startswith(f"{one}/") for one in self.ignored)


def read_manifest(statement: Statement, source: str) -> SignedManifest:
    """What a statement signs. The signer decides nothing by it: see `comparing`.

    Raises:
        MalformedError: it is no model signature, names a file twice or by an impossible path, or
            the subject is not what the resources add up to; also if it lists parts of files
            (`shards`), which are not read here.
    """
    if statement.predicate_type != SIGNATURE_TYPE:
        raise MalformedError(
            f"a statement about {statement.predicate_type[:100]!r}, not a model signature"
            f" ({SIGNATURE_TYPE})",
            source=source,
        )
    how = as_object(statement.predicate.get("serialization"), "serialization", source)
    algorithm = _algorithm(how, source)
    resources = statement.predicate.get("resources")
    if not isinstance(resources, list):
        raise MalformedError("resources is not a list", source=source)
    digests: dict[str, str] = {}
    for value in resources:
        path, digest = _resource(value, algorithm, source)
        if path in digests:
            raise MalformedError(f"{path[:200]!r} is listed twice", source=source)
        digests[path] = digest
    _check_subject(statement, _root(digests.values()), source)
    try:
        return SignedManifest(statement.subjects[0].name, digests, algorithm, _ignored(how, source))
    except NamingError as error:
        raise MalformedError(str(error), source=source) from None


def _algorithm(how: Mapping[str, Any], source: str) -> str:
    if how.get("method") != "files":
        raise MalformedError(
            f"files were serialised by the method {str(how.get('method'))[:40]!r}",
            source=source,
            hint="Only signatures of whole files ('files') are read; sign again",
        )
    algorithm = how.get("hash_type")
    if not isinstance(algorithm, str) or algorithm not in DIGEST_CHARS:
        raise MalformedError(
            f"files are hashed by {str(algorithm)[:40]!r}; known: {', '.join(DIGEST_CHARS)}",
            source=source,
        )
    return algorithm


def _ignored(how: Mapping[str, Any], source: str) -> tuple[str, ...]:
    named = how.get("ignore_paths", [])
    if not isinstance(named, list) or not all(isinstance(path, str) for path in named):
        raise MalformedError("ignore_paths is not a list of paths", source=source)
    return tuple(sorted({*named, *DEFAULT_IGNORED}))


def _resource(value: object, algorithm: str, source: str) -> tuple[str, str]:
    fields = as_object(value, "a resource", source)
    path, digest = fields.get("name"), fields.get("digest")
    if not isinstance(path, str):
        raise MalformedError("a resource has no name", source=source)
    if fields.get("algorithm") != algorithm:
        raise MalformedError(f"{path[:200]!r} is not hashed by {algorithm}", source=source)
    if (
        not isinstance(digest, str)
        or len(digest) != DIGEST_CHARS[algorithm]
        or not _HEX.match(digest)
    ):
        raise MalformedError(f"{path[:200]!r} has no {algorithm} digest", source=source)
    return path, digest


def _check_subject(statement: Statement, root: str, source: str) -> None:
    if len(statement.subjects) != 1:
        raise MalformedError("a model signature has one subject", source=source)
    if statement.subjects[0].digests.get("sha256") != root:
        raise MalformedError(
            "the subject's digest is not what the listed files add up to", source=source
        )


def _root(digests: Any) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def _check_path(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise NamingError(f"path {path[:120]!r} is not valid Unicode") from None
    if _CONTROL.search(path) or any(part in ("", ".", "..") for part in path.split("/")):
        raise NamingError(
            f"path {path[:120]!r} is not relative and normal: no '.', '..', empty segments or"
            " control characters"
        )
