"""`cairn sign` and `cairn verify` as a person types them."""

import json
import stat
from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.config import load_settings
from tests.cli.command import cairn
from tests.provenance.local_sigstore import ANN, ISSUER, LocalSigstore, serving


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


def test_an_account_signs_without_a_key_and_is_trusted_by_name(model: Path, tmp_path: Path) -> None:
    data, config, root = (tmp_path / name for name in ("data", "config.json", "trusted_root.json"))
    open_house(load_settings(data_dir=data)).catalog.close()
    with serving(LocalSigstore()) as instance:
        config.write_text(json.dumps(instance.client_config()))
        root.write_text(json.dumps(instance.trusted_root()))
        token = {"SIGSTORE_ID_TOKEN": instance.token()}
        cairn("sign", str(model), "--sigstore", str(config), env=token)
    account = ("--identity", ANN, "--issuer", ISSUER)
    verified = cairn("verify", str(model), "--sigstore", str(root), *account)
    assert f"as {ANN}" in verified.stdout
    stranger = ("--identity", "bob@example.org", "--issuer", ISSUER)
    cairn("verify", str(model), "--sigstore", str(root), *stranger, expect=1)
    assert "which identity" in cairn("verify", str(model), "--sigstore", str(root), expect=2).stderr
    cairn("trust", "add", "*", str(root), *account, data=data)
    (listed,) = json.loads(cairn("trust", "list", "--json", data=data).stdout)
    assert (listed["kind"], listed["identity"], listed["issuer"]) == ("sigstore", ANN, ISSUER)


def test_a_command_signs_in_one_way_only(model: Path, key: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(LocalSigstore().client_config()))
    both = cairn("sign", str(model), "--key", str(key), "--sigstore", str(config), expect=2)
    assert "or with --sigstore" in both.stderr
    assert (
        "SIGSTORE_ID_TOKEN" in cairn("sign", str(model), "--sigstore", str(config), expect=5).stderr
    )
