"""`cairn sign` and `cairn verify` as a person types them."""

import json
import stat
from pathlib import Path

import pytest

from tests.cli.command import cairn


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Path:
    cairn("sign", "--new-key", str(tmp_path / "release.key"))
    return tmp_path / "release.key"


def test_a_new_private_key_is_for_its_owner_alone(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert b"PUBLIC KEY" in key.with_name("release.key.pub").read_bytes()
    before = key.read_bytes()
    cairn("sign", "--new-key", str(key), expect=4)
    assert key.read_bytes() == before


def test_a_signed_model_is_verified_until_a_file_changes(model: Path, key: Path) -> None:
    signed = json.loads(cairn("sign", str(model), "--key", str(key), "--json").stdout)
    assert signed["files"] == 1
    public = f"{key}.pub"
    verified = json.loads(cairn("verify", str(model), "--key", public, "--json").stdout)
    assert verified["verified"] and verified["digest"] == signed["digest"]
    (model / "weights.bin").write_bytes(b"Weights")
    (model / "new\x1b.bin").write_bytes(b"x")
    refused = cairn("verify", str(model), "--key", public, expect=1)
    assert "changed: weights.bin" in refused.stdout
    assert "added: new\\x1b.bin was not signed" in refused.stdout
    told = json.loads(cairn("verify", str(model), "--key", public, "--json", expect=1).stdout)
    assert told["differences"]["changed"] == ["weights.bin"]


def test_a_wrong_key_no_key_and_no_signature_have_exit_codes_of_their_own(
    model: Path, key: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.key"
    cairn("sign", "--new-key", str(other))
    cairn("verify", str(model), "--key", f"{key}.pub", expect=3)
    cairn("sign", str(model), "--key", str(key))
    refused = cairn("verify", str(model), "--key", f"{other}.pub", expect=1)
    assert "not trusted" in refused.stdout
    assert "--trust" in cairn("verify", str(model), expect=2).stderr
    (model / "model.sig").write_text("{}")
    assert "mediaType" in cairn("verify", str(model), "--key", f"{key}.pub", expect=6).stderr


def test_a_bundle_is_not_overwritten_by_accident(model: Path, key: Path) -> None:
    cairn("sign", str(model), "--key", str(key))
    assert "--force" in cairn("sign", str(model), "--key", str(key), expect=4).stderr
    cairn("sign", str(model), "--key", str(key), "--force", "--hash", "blake3")
    cairn("verify", str(model), "--key", f"{key}.pub")
