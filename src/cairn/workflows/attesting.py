"""States how the files of a revision were built: from which inputs, by whom, signed with a key."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import RequestError
from cairn.provenance.signing import (
    BuildInput,
    BuildProvenance,
    Bundle,
    InputRole,
    StatementSigner,
)
from cairn.provenance.signing.folders import hash_files
from cairn.workflows.signing import manifest_of

# Of a repo such as org/name@main: where it is for good, its commit, its files by SHA-256.
LookUp = Callable[[str], "RepoFound"]

_SHA256 = re.compile(r"(.+)@sha256:([0-9a-f]{64})\Z")
_COMMIT = re.compile(r"([a-z][a-z0-9+.-]*:.+)@([0-9a-f]{40})\Z")


@dataclass(frozen=True, slots=True)
class RepoFound:
    """A repo of a hub at a commit."""

    uri: str
    commit: str
    digests: Mapping[str, str]


def read_input(role: InputRole, text: str, look_up: LookUp) -> BuildInput:
    """An input as people name it.

    `URI@sha256:HEX`, `URI@COMMIT` (40 hex digits, of git), a file here, or a repo of the hub. A
    repo has its commit as a digest, and the one digest that a signature of it has.

    Raises:
        RequestError: it is none of these. NotFoundError: the hub has no such revision.
    """
    if match := _SHA256.match(text):
        return BuildInput(role, match[1], {"sha256": match[2]})
    if match := _COMMIT.match(text):
        return BuildInput(role, match[1], {"gitCommit": match[2]})
    path = Path(text)
    if path.is_file():
        digest = hash_files({path.name: path}, "sha256", follow_links=True)[path.name]
        return BuildInput(role, f"file:{path.name}", {"sha256": digest})
    if ":" in text:
        raise RequestError(
            f"{text}: say which bytes that are: {text}@sha256:HEX, or @COMMIT for a git repository"
        )
    found = look_up(text)
    root = manifest_of(text, found.digests).root_digest
    return BuildInput(role, found.uri, {"gitCommit": found.commit, "sha256": root})


def attest(built: BuildProvenance, digests: Mapping[str, str], signer: StatementSigner) -> Bundle:
    """Sign what is stated about files, by path and SHA-256 in hex.

    Raises:
        RequestError: there are no files.
    """
    if not digests:
        raise RequestError("there are no files to state the origin of")
    return signer.sign(built.statement(digests))
