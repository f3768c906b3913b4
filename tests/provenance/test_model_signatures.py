"""Tampering with a signed model is found and named. Names carry the ids of the attack cases."""

import os
import shutil
from pathlib import Path

import pytest

from cairn.errors import IntegrityError, MalformedError, NotFoundError, RequestError
from cairn.provenance.signing import DEFAULT_IGNORED, SignedManifest, Signer, Standing, TrustedKey
from cairn.provenance.signing.folders import hash_files
from cairn.provenance.signing.statements import Statement, Subject
from cairn.workflows.signing import files_to_sign, sign_files
from tests.provenance.models import CONTENT, SignedModel, new_key, signed_model, write_model


@pytest.fixture
def model(tmp_path: Path) -> SignedModel:
    return signed_model(tmp_path / "model")


@pytest.mark.parametrize("algorithm", ["sha256", "blake3", "blake2b"])
def test_a_model_is_verified_as_it_was_signed(tmp_path: Path, algorithm: str) -> None:
    found = signed_model(tmp_path / "model", algorithm=algorithm).verify()
    assert found.is_verified
    assert found.signature.signer == "release"
    assert found.manifest.digests.keys() == CONTENT.keys()


def test_a_single_file_is_signed_and_verified(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    signer = Signer(new_key())
    target = tmp_path / "model.gguf.sig"
    made = sign_files(files_to_sign(file, target), signer, "sha256", lambda _: None)
    target.write_bytes(made.as_bytes())
    from cairn.workflows.verifying import Tolerance, verify_files
    from tests.provenance.models import NOW

    trusted = [TrustedKey("release", signer.key.public_key())]
    assert verify_files(file, target, trusted, Tolerance(), NOW).is_verified
    file.write_bytes(b"GGUG")
    found = verify_files(file, target, trusted, Tolerance(), NOW)
    assert found.differences is not None
    assert found.differences.changed == ("model.gguf",)


@pytest.mark.parametrize("path", CONTENT)
def test_sig_001_one_bit_of_any_file_changed_after_signing(model: SignedModel, path: str) -> None:
    content = bytearray((model.folder / path).read_bytes())
    content[-1] ^= 1
    (model.folder / path).write_bytes(content)
    found = model.verify()
    assert not found.is_verified
    assert found.differences.changed == (path,)


@pytest.mark.parametrize("path", ["extra.bin", "sub/new/extra.py", ".hidden", "sub/.git/hook"])
def test_sig_002_a_file_nobody_signed(model: SignedModel, path: str) -> None:
    (model.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (model.folder / path).write_bytes(b"x")
    found = model.verify()
    assert not found.is_verified
    assert found.differences.added == (path,)


@pytest.mark.parametrize("path", [".github/run.py", ".git/hooks/post-checkout"])
def test_sig_002_a_file_where_signers_ignore_files(model: SignedModel, path: str) -> None:
    (model.folder / path).parent.mkdir(parents=True)
    (model.folder / path).write_bytes(b"x")
    found = model.verify()
    assert not found.is_verified
    named = ".git" if path.startswith(".git/") else path
    assert found.differences.left_out == (named,)
    assert model.verify(path.partition("/")[0]).is_verified


def test_what_git_keeps_beside_every_model_is_named_and_passes(model: SignedModel) -> None:
    (model.folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    found = model.verify()
    assert found.is_verified
    assert found.differences.allowed == (".gitattributes",)


def test_a_link_in_place_of_what_git_keeps_does_not_pass(model: SignedModel) -> None:
    (model.folder / ".gitattributes").symlink_to("config.json")
    assert not model.verify().is_verified


def test_sig_003_a_signed_file_that_is_missing(model: SignedModel) -> None:
    (model.folder / "config.json").unlink()
    found = model.verify()
    assert not found.is_verified
    assert found.differences.removed == ("config.json",)


@pytest.mark.parametrize("new", ["sub/other.bin", "sub/Weights.bin", "weights.bin"])
def test_sig_003_a_signed_file_under_another_name_or_case(model: SignedModel, new: str) -> None:
    (model.folder / "sub/weights.bin").rename(model.folder / new)
    found = model.verify()
    assert not found.is_verified
    assert found.differences.renamed == (("sub/weights.bin", new),)
    assert found.differences.added == found.differences.removed == ()


def test_two_files_that_change_places_are_both_named(model: SignedModel) -> None:
    one, other = (model.folder / path for path in CONTENT)
    one.rename(model.folder / "aside")
    other.rename(one)
    (model.folder / "aside").rename(other)
    assert set(model.verify().differences.changed) == set(CONTENT)


@pytest.mark.parametrize("follow", [False, True])
def test_sig_004_a_link_to_other_bytes_in_place_of_a_file(
    model: SignedModel, tmp_path: Path, follow: bool
) -> None:
    (tmp_path / "evil").write_bytes(b"other bytes")
    (model.folder / "config.json").unlink()
    (model.folder / "config.json").symlink_to(tmp_path / "evil")
    found = model.verify(follow_links=follow)
    assert not found.is_verified
    if follow:
        assert found.differences.changed == ("config.json",)
    else:
        assert found.differences.others == (("config.json", "symbolic link"),)


def test_sig_004_a_link_to_the_same_bytes_passes_only_when_links_are_followed(
    model: SignedModel, tmp_path: Path
) -> None:
    kept = tmp_path / "blob"
    (model.folder / "config.json").rename(kept)
    (model.folder / "config.json").symlink_to(kept)
    assert not model.verify().is_verified
    assert model.verify(follow_links=True).is_verified


@pytest.mark.parametrize("follow", [False, True])
def test_sig_004_loops_of_links_and_links_to_folders_are_named(
    model: SignedModel, follow: bool
) -> None:
    (model.folder / "loop").symlink_to("loop")
    (model.folder / "up").symlink_to("..")
    found = model.verify(follow_links=follow)
    assert not found.is_verified
    assert dict(found.differences.others).keys() == {"loop", "up"}


@pytest.mark.parametrize("make", [os.link, os.symlink], ids=["hard link", "symbolic link"])
def test_the_bundle_under_a_second_name_is_a_file_nobody_signed(model: SignedModel, make) -> None:
    make(model.bundle, model.folder / "evil.py")
    found = model.verify(follow_links=True)
    assert found.differences.added == ("evil.py",)
    assert not model.verify().is_verified


def test_a_folder_reached_by_a_link_is_verified_as_itself(
    model: SignedModel, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(model.folder)
    assert SignedModel(tmp_path / "link", model.trusted).verify().is_verified


def test_a_single_file_that_is_a_link_is_not_signed(tmp_path: Path) -> None:
    (tmp_path / "real.gguf").write_bytes(b"GGUF")
    (tmp_path / "model.gguf").symlink_to("real.gguf")
    with pytest.raises(RequestError, match="symbolic link"):
        files_to_sign(tmp_path / "model.gguf", tmp_path / "model.gguf.sig")


def test_a_pipe_is_named_and_not_waited_for(model: SignedModel) -> None:
    os.mkfifo(model.folder / "pipe")
    assert dict(model.verify().differences.others) == {"pipe": "pipe, socket or device"}


def test_a_file_that_becomes_a_link_while_it_is_hashed_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    with pytest.raises(IntegrityError, match="symbolic link"):
        hash_files({"file": tmp_path / "file"}, "sha256", follow_links=False)


def test_sig_006_a_valid_signature_of_somebody_else(model: SignedModel) -> None:
    model.trusted = [TrustedKey("other", new_key().public_key())]
    found = model.verify()
    assert not found.is_verified
    assert found.signature.standing is Standing.UNKNOWN
    assert found.differences is None, "what a stranger signed says nothing"


def test_sig_009_a_subject_that_is_not_what_the_files_add_up_to(model: SignedModel) -> None:
    signer = Signer(new_key())
    statement = SignedManifest("m", {"a": "0" * 64}).statement()
    lying = Statement(
        (Subject("m", {"sha256": "1" * 64}),), statement.predicate_type, statement.predicate
    )
    model.bundle.write_bytes(signer.sign(lying).as_bytes())
    with pytest.raises(MalformedError, match="add up to"):
        model.verify()


def test_a_signer_who_ignores_the_weights_has_them_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    signer = Signer(new_key())
    digests = hash_files({"config.json": folder / "config.json"}, "sha256", follow_links=False)
    manifest = SignedManifest("model", digests, ignored=("sub", *DEFAULT_IGNORED))
    (folder / "model.sig").write_bytes(signer.sign(manifest.statement()).as_bytes())
    found = SignedModel(folder, [TrustedKey("release", signer.key.public_key())]).verify()
    assert not found.is_verified
    assert found.differences.left_out == ("sub/weights.bin",)


def test_a_bundle_of_another_model_does_not_fit(model: SignedModel, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(model.folder, other)
    (other / "config.json").write_bytes(b'{"n": 2}')
    found = SignedModel(other, model.trusted).verify()
    assert found.differences.changed == ("config.json",)


def test_no_signature_is_said_as_that(model: SignedModel) -> None:
    model.bundle.unlink()
    with pytest.raises(NotFoundError, match="no signature"):
        model.verify()


def test_links_are_not_signed(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "link").symlink_to("config.json")
    with pytest.raises(RequestError, match="symbolic link"):
        files_to_sign(folder, folder / "model.sig")


def test_a_name_that_is_no_unicode_is_not_signed(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / os.fsdecode(b"\xff.bin")).write_bytes(b"x")
    with pytest.raises(RequestError, match="rename the file"):
        signed_model(folder)


def test_git_files_are_signed_on_request(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / ".github").mkdir()
    (folder / ".github/run.yml").write_text("on: push\n")
    usual = files_to_sign(folder, folder / "model.sig")
    assert usual.left_out == (".github/run.yml",)
    wanted = files_to_sign(folder, folder / "model.sig", git_files=True)
    assert ".github/run.yml" in wanted.listing.files
    assert wanted.left_out == ()
