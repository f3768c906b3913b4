"""The reference library for model signatures verifies what we sign, and we what it signs.

It runs in the environment of `./scripts/test --all`, in processes of its own.
"""

import os
import subprocess
from pathlib import Path

import pytest

from cairn.provenance.signing import Signer, TrustedKey, keys
from cairn.provenance.signing.certificates import certificate_pem
from tests.provenance.models import certificate, new_key, signed_model, write_model

pytestmark = pytest.mark.slow

BIN = Path(__file__).resolve().parents[2] / ".venv-signing/bin"
# Its command takes every file for hashed by SHA-256; its library looks into the bundle.
VERIFY = """
import sys
from model_signing import verifying
model, bundle, key = sys.argv[1:]
verifying.Config().use_elliptic_key_verifier(public_key=key).verify(model, bundle)
"""


def model_signing(*arguments: object, expect: int = 0) -> None:
    run(BIN / "model_signing", *arguments, expect=expect)


def run(*command: object, expect: int = 0) -> None:
    if not BIN.exists():
        if os.environ.get("CAIRN_FRAMEWORKS_REQUIRED"):
            pytest.fail("./scripts/test --all could not install model-signing")
        pytest.skip("model-signing is installed by ./scripts/test --all")
    program = [str(word) for word in command]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) is (expect == 0), done.stdout + done.stderr


def test_it_verifies_what_we_sign_with_a_key(tmp_path: Path) -> None:
    signer = Signer(new_key())
    model = signed_model(tmp_path / "model", signer)
    public = tmp_path / "key.pub"
    public.write_bytes(keys.public_pem(signer.key.public_key()))
    verify = ("verify", "key", model.folder, "--signature", model.bundle, "--public_key", public)
    model_signing(*verify)
    (model.folder / "config.json").write_bytes(b"[]")
    model_signing(*verify, expect=1)


def test_its_library_verifies_files_that_we_hash_with_blake3(tmp_path: Path) -> None:
    signer = Signer(new_key())
    model = signed_model(tmp_path / "model", signer, "blake3")
    public, bundle = tmp_path / "key.pub", tmp_path / "bundle"
    public.write_bytes(keys.public_pem(signer.key.public_key()))
    model.bundle.rename(bundle)
    verify = (BIN / "python", "-c", VERIFY, model.folder, bundle, public)
    run(*verify)
    (model.folder / "config.json").write_bytes(b"[]")
    run(*verify, expect=1)


def test_it_verifies_what_we_sign_with_a_certificate(tmp_path: Path) -> None:
    root_key, leaf_key = new_key(), new_key()
    root = certificate("root", root_key, "root", root_key, is_ca=True)
    leaf = certificate("ann", leaf_key, "root", root_key)
    model = signed_model(tmp_path / "model", Signer(leaf_key, (leaf,)))
    trust = tmp_path / "root.pem"
    trust.write_bytes(certificate_pem(root))
    signature = ("--signature", model.bundle, "--certificate_chain", trust)
    model_signing("verify", "certificate", model.folder, *signature)


def test_we_verify_what_it_signs(tmp_path: Path) -> None:
    key = new_key()
    (tmp_path / "key").write_bytes(keys.private_pem(key, None))
    folder = write_model(tmp_path / "model")
    (folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    bundle = folder / "model.sig"
    model_signing("sign", "key", folder, "--signature", bundle, "--private_key", tmp_path / "key")
    model = signed_model(tmp_path / "other")
    model.folder, model.trusted = folder, [TrustedKey("it", key.public_key())]
    assert model.verify().is_verified
