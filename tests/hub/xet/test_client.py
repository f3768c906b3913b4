"""The real client, hf_xet, uploads to a listening hub and downloads again."""

import hashlib
import random

import hf_xet
import pytest

from cairn.domain import Digest
from tests.hub.xet.conftest import XetHub

RNG = random.Random(20)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def staged_xorbs(hub: XetHub) -> set[str]:
    """Every staged xorb of every scope."""
    return {f"{path.parent.name}/{path.name}" for path in hub.settings.store_dir.rglob("xorb-*")}


@pytest.mark.parametrize("size", [1, 100, 8191, 8192, 131072, 1_000_003, 20_000_000])
def test_random_files_arrive_byte_for_byte(hub, size):
    data = RNG.randbytes(size)
    (done,) = hub.push(data)
    assert done.xet_info.sha256 == sha256(data)
    assert hub.received(sha256(data)) == data


@pytest.mark.parametrize("name", ["zeros", "text", "floats"])
def test_compressible_files_arrive_byte_for_byte(hub, name, tmp_path):
    data = {
        "zeros": bytes(3_000_000),
        "text": b"a checkpoint is not a bag of opaque files. " * 50_000,
        "floats": b"".join(
            bytes([RNG.randrange(256), RNG.randrange(256), 60, 61]) for _ in range(200_000)
        ),
    }[name]
    path = tmp_path / name
    path.write_bytes(data)
    hub.push(path)
    assert hub.received(sha256(data)) == data


def test_an_empty_file_arrives(hub, tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    hub.push(path, b"")
    assert hub.received(sha256(b"")) == b""


def test_a_file_of_several_xorbs_arrives(hub, tmp_path):
    data = RNG.randbytes(150_000_000)
    path = tmp_path / "large"
    path.write_bytes(data)
    before = staged_xorbs(hub)
    hub.push(path)
    assert len(staged_xorbs(hub) - before) >= 3
    assert hub.received(sha256(data)) == data


def test_many_files_with_shared_parts_arrive_in_one_upload(hub):
    common = RNG.randbytes(2_000_000)
    files = [common + bytes([i]) * i + common[: i * 1000] for i in range(40)]
    hub.push(*files, files[7])
    for data in files:
        assert hub.received(sha256(data)) == data


def test_a_file_without_a_sha256_is_hashed_here(hub):
    data = RNG.randbytes(50_000)
    hub.push(data, sha256=hf_xet.SKIP_SHA256)
    assert hub.received(sha256(data)) == data


def test_a_variant_sends_only_what_is_new(hub):
    data = RNG.randbytes(30_000_000)
    hub.push(data)
    variant = data[:15_000_000] + b"inserted" + data[15_000_000:]
    (done,) = hub.push(variant)
    assert done.dedup_metrics.new_bytes < 2_000_000
    assert hub.received(sha256(variant)) == variant


def test_another_repo_does_not_gain_by_what_this_one_has(hub):
    data = RNG.randbytes(3_000_000)
    hub.push(data, repo="ann/one")
    assert hub.received(sha256(data), "bob/one") is None
    (done,) = hub.push(data, repo="bob/one")
    assert done.dedup_metrics.new_bytes == len(data)
    assert hub.received(sha256(data), "bob/one") == data


def test_after_an_epoch_the_client_sends_everything_anew(hub):
    data = RNG.randbytes(3_000_000)
    hub.push(data)
    hub.clock.ahead_s = hub.settings.xet_epoch_s
    (done,) = hub.push(data)
    assert done.dedup_metrics.new_bytes == len(data)
    assert hub.received(sha256(data)) == data


def test_when_staged_data_was_dropped_the_next_upload_just_works(hub):
    data = RNG.randbytes(3_000_000)
    hub.push(data)
    scope = staging_scope(hub)
    hub.house.store.staging.drop(scope)
    variant = data + b"more"
    hub.push(variant)
    assert hub.received(sha256(variant)) == variant


def test_when_one_xorb_was_lost_one_upload_fails_and_the_next_works(hub):
    data = RNG.randbytes(3_000_000)
    before = staged_xorbs(hub)
    hub.push(data)
    (lost,) = staged_xorbs(hub) - before
    next(hub.settings.store_dir.rglob(lost)).unlink()
    variant = data + b"more"
    with pytest.raises(RuntimeError, match="Run the upload again"):
        hub.push(variant)
    assert hub.received(sha256(variant)) is None
    hub.push(variant)
    assert hub.received(sha256(variant)) == variant


def test_a_blob_that_left_the_store_is_made_again(hub):
    data = RNG.randbytes(100_000)
    hub.push(data)
    hub.house.store.collect(list, 0)
    assert not hub.house.store.has(Digest.sha256(sha256(data)))
    hub.push(data)
    assert hub.received(sha256(data)) == data


def staging_scope(hub: XetHub) -> str:
    return f"xet-{hub.connect()['casUrl'].rpartition('/')[2].rpartition('-')[0]}"


def test_what_was_uploaded_can_be_downloaded_with_xet(hub, tmp_path):
    files = [RNG.randbytes(5_000_000), bytes(1_000_000), b"x"]
    files.append(files[0][:2_000_000] + files[0][1_000_000:])
    done = hub.push(*files)
    session = hf_xet.XetSession()
    refresh = f"{hub.url}/api/models/ann/one/xet-write-token/main"
    with session.new_file_download_group(
        token_refresh_url=refresh,
        token_refresh_headers={"Authorization": f"Bearer {hub.tokens['ann']}"},
    ) as group:
        for index, each in enumerate(done):
            info = hf_xet.XetFileInfo(each.xet_info.hash, len(files[index]))
            group.start_download_file(info, str(tmp_path / str(index)))
    assert [(tmp_path / str(i)).read_bytes() for i in range(len(files))] == files
