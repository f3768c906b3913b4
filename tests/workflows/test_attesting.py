"""Inputs of a build as people name them."""

import hashlib
from pathlib import Path

import pytest

from cairn.errors import RequestError
from cairn.provenance.signing import InputRole
from cairn.workflows.attesting import RepoFound, read_input
from cairn.workflows.signing import manifest_of

FILES = {".gitattributes": "00" * 32, "model.safetensors": "ab" * 32}


def look_up(name: str) -> RepoFound:
    return RepoFound(f"https://hub.example.org/{name}", "c" * 40, FILES)


@pytest.mark.parametrize(
    ("text", "uri", "digests"),
    [
        ("https://x.org/d@sha256:" + "ab" * 32, "https://x.org/d", {"sha256": "ab" * 32}),
        ("git+https://x.org/c@" + "a" * 40, "git+https://x.org/c", {"gitCommit": "a" * 40}),
        (
            "org/base",
            "https://hub.example.org/org/base",
            {"gitCommit": "c" * 40, "sha256": manifest_of("m", FILES).root_digest},
        ),
    ],
)
def test_an_input_is_named_by_its_place_and_digest(text: str, uri: str, digests: dict) -> None:
    found = read_input(InputRole.BASE, text, look_up)
    assert (found.uri, found.digests) == (uri, digests)


def test_a_file_here_is_hashed_and_its_folder_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch==2.13.0\n")
    found = read_input(InputRole.ENVIRONMENT, str(tmp_path / "requirements.txt"), look_up)
    assert found.uri == "file:requirements.txt"
    assert found.digests == {"sha256": hashlib.sha256(b"torch==2.13.0\n").hexdigest()}


def test_a_place_without_a_digest_is_refused() -> None:
    with pytest.raises(RequestError, match="which bytes"):
        read_input(InputRole.CODE, "https://x.org/main.zip", look_up)
