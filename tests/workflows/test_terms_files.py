"""Licences and notices are known by their names and go with what is made of a model."""

from pathlib import Path

import pytest

from cairn.workflows.convert import companions
from cairn.workflows.inspect import read_path
from cairn.workflows.terms_files import copy_terms, is_terms_file

TERMS = (
    *("LICENSE", "LICENCE.md", "License.txt", "NOTICE", "Notice.txt", "COPYING", "USE_POLICY.md"),
    *("LICENSE-MODEL", "third_party_notices.txt", "model_license.pdf", "gemma-usage_policy.html"),
)
OTHERS = ("config.json", "README.md", "license.safetensors", "notice.py", "licensed", "a/LICENSE")


@pytest.mark.parametrize("name", TERMS)
def test_texts_of_terms_are_known_by_their_names(name: str) -> None:
    assert is_terms_file(name)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_text_of_terms_is_left(name: str) -> None:
    assert not is_terms_file(name)


def test_they_are_copied_but_for_what_a_link_brings_from_elsewhere(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    base.mkdir(), out.mkdir()
    (base / "LICENSE").write_bytes(b"do as you like\r\n")
    (base / "config.json").write_text("{}")
    (tmp_path / "secret").write_text("key")
    (base / "NOTICE").symlink_to(tmp_path / "secret")
    (base / "COPYING").symlink_to(base / "LICENSE")
    assert copy_terms(base, out) == ["COPYING", "LICENSE"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == dict.fromkeys(
        ("COPYING", "LICENSE"), b"do as you like\r\n"
    )


def test_a_conversion_takes_them_along(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("do as you like")
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert "LICENSE" in companions(read_path(tmp_path))
