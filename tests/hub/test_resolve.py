"""Files as they come out: whole, in part, conditionally, and harmless to a browser."""

import asyncio
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request

from cairn.domain import Digest
from cairn.hub import ranges
from cairn.hub.blob_response import BlobResponse
from cairn.hub.file_response import BLOCK_BYTES, Answer, content_disposition
from cairn.hub.ranges import Part

TEXT = b"0123456789"


def part(size: int, **headers: str) -> Part:
    return ranges.select(
        "GET", Headers({k.replace("_", "-"): v for k, v in headers.items()}), '"e"', size
    )


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-5", 2, 6),
        ("bytes=2-", 2, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-30", 0, 10),
        ("bytes=0-99", 0, 10),
        ("Bytes=9-9", 9, 10),
    ],
)
def test_a_single_range_is_answered_in_part(header, start, stop):
    assert part(10, range=header) == Part(206, start, stop)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_past_the_end_is_416(header):
    assert part(10, range=header).status == 416


@pytest.mark.parametrize(
    "header",
    ["bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=", "bytes=-", "",
     "bytes=" + "9" * 40 + "-"],
)  # fmt: skip
def test_a_range_in_another_form_is_ignored(header):
    assert part(10, range=header) == Part(200, 0, 10)


def test_if_range_and_if_none_match_compare_the_etag():
    assert part(10, range="bytes=0-1", if_range='"e"').status == 206
    assert part(10, range="bytes=0-1", if_range='"other"').status == 200
    assert part(10, range="bytes=0-1", if_range='W/"e"').status == 200
    assert part(10, if_none_match='"x", W/"e"').status == 304
    assert part(10, if_none_match="*").status == 304
    assert part(10, if_none_match='"x"').status == 200


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_part_is_always_inside_the_file(size, first, last):
    found = part(size, range=f"bytes={first}-{last}")
    assert 0 <= found.start <= found.stop <= size


@pytest.fixture
def filled(repo):
    repo.put("dir/a.txt", TEXT)
    repo.large_bytes = bytes(range(256)) * 20_000  # 5 MB: more than one block
    oid = repo.put_large(repo.large_bytes)
    assert repo.commit(repo.large("big.bin", oid)).status_code == 200
    return repo


def test_head_and_get_say_the_same(filled):
    for path, content in (("dir/a.txt", TEXT), ("big.bin", filled.large_bytes)):
        head = filled.client.head(f"/ann/m/resolve/main/{path}")
        get = filled.client.get(f"/ann/m/resolve/main/{path}")
        assert head.status_code == get.status_code == 200
        assert get.content == content and head.content == b""
        for name in ("etag", "x-repo-commit", "accept-ranges", "content-length", "content-type"):
            assert head.headers[name] == get.headers[name]
        assert int(head.headers["content-length"]) == len(content)
        assert head.headers["x-repo-commit"] == filled.head()
        assert "content-encoding" not in get.headers and "location" not in head.headers


def test_the_etag_is_git_s_id_or_the_sha256_of_a_large_file(filled):
    regular = filled.client.head("/ann/m/resolve/main/dir/a.txt").headers
    assert regular["etag"] == '"' + hashlib.sha1(b"blob 10\0" + TEXT).hexdigest() + '"'
    assert "x-linked-etag" not in regular
    large = filled.client.head("/ann/m/resolve/main/big.bin").headers
    sha256 = hashlib.sha256(filled.large_bytes).hexdigest()
    assert large["etag"] == large["x-linked-etag"] == f'"{sha256}"'
    assert large["x-linked-size"] == str(len(filled.large_bytes))
    assert "x-xet-hash" not in large


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(st.integers(0, 5_119_999), st.integers(0, 5_200_000))
def test_any_range_of_a_raw_and_of_an_optimized_blob_is_right(filled, first, length):
    url = "/ann/m/resolve/main/big.bin"
    answer = filled.client.get(url, headers={"Range": f"bytes={first}-{first + length}"})
    want = filled.large_bytes[first : first + length + 1]
    assert answer.status_code == 206 and answer.content == want
    last = first + len(want) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/5120000"
    assert answer.headers["content-length"] == str(len(want))


def test_a_blob_kept_as_parts_reads_the_same(hub, filled):
    digest = Digest.sha256(hashlib.sha256(filled.large_bytes).hexdigest())
    done = hub.house.store.optimize(digest, None)
    assert done.rewritten and hub.house.store.local_path(digest) is None
    answer = filled.client.get("/ann/m/resolve/main/big.bin")
    assert answer.content == filled.large_bytes
    some = filled.client.get("/ann/m/resolve/main/big.bin", headers={"Range": "bytes=-70000"})
    assert some.content == filled.large_bytes[-70000:]


def test_a_damaged_blob_is_never_a_short_answer(hub, filled):
    digest = Digest.sha256(hashlib.sha256(filled.large_bytes).hexdigest())
    path = hub.house.store.local_path(digest)
    with path.open("r+b") as file:
        file.truncate(len(filled.large_bytes) - 1)
    with pytest.raises(Exception):  # noqa: B017 - the test client's way to say "cut off"
        whole = filled.client.get("/ann/m/resolve/main/big.bin")
        assert whole.status_code == 200 and len(whole.content) == len(filled.large_bytes)
    part = filled.client.get("/ann/m/resolve/main/big.bin", headers={"Range": "bytes=-9"})
    assert part.status_code == 500 and part.headers["x-error-code"] == "Integrity"


def test_a_lost_blob_is_our_fault_and_says_so(hub, filled):
    digest = Digest.sha256(hashlib.sha256(filled.large_bytes).hexdigest())
    hub.house.store.local_path(digest).unlink()
    answer = filled.client.get("/ann/m/resolve/main/big.bin")
    assert answer.status_code == 500 and answer.headers["x-error-code"] == "Integrity"
    assert "cairn store verify" in answer.json()["error"]


def test_caches_ask_again_and_private_files_stay_out_of_shared_ones(filled):
    url = "/ann/m/resolve/main/dir/a.txt"
    assert filled.client.get(url).headers["cache-control"] == "no-cache"
    filled.client.put(f"{filled.api}/settings", json={"private": True})
    assert filled.client.get(url).headers["cache-control"] == "private, no-cache"


def test_head_speaks_of_the_whole_file_whatever_range_is_asked(filled):
    answer = filled.client.head("/ann/m/resolve/main/dir/a.txt", headers={"Range": "bytes=1-2"})
    assert answer.status_code == 200 and answer.headers["content-length"] == "10"


def test_416_names_the_size(filled):
    answer = filled.client.get("/ann/m/resolve/main/dir/a.txt", headers={"Range": "bytes=10-"})
    assert answer.status_code == 416 and answer.headers["content-range"] == "bytes */10"


def test_304_has_no_body(filled):
    etag = filled.client.head("/ann/m/resolve/main/dir/a.txt").headers["etag"]
    answer = filled.client.get("/ann/m/resolve/main/dir/a.txt", headers={"If-None-Match": etag})
    assert answer.status_code == 304 and answer.content == b"" and answer.headers["etag"] == etag


@pytest.mark.parametrize("path", ["nope", "dir", "dir/a.txt/x", "%2e%2e/x", "a%00b", "dir//a.txt"])
def test_a_missing_path_is_404_with_the_commit(filled, path):
    for method in ("GET", "HEAD"):
        answer = filled.client.request(method, f"/ann/m/resolve/main/{path}")
        assert answer.status_code == 404
        assert answer.headers["x-error-code"] == "EntryNotFound"
        assert answer.headers["x-repo-commit"] == filled.head()


@pytest.mark.parametrize(
    "revision", ["nope", "%2e%2e", "refs%2Fpr%2F9", "a" * 300, "%00", "0" * 40]
)
def test_a_missing_revision_is_404(filled, revision):
    answer = filled.client.head(f"/ann/m/resolve/{revision}/dir/a.txt")
    assert answer.status_code == 404 and answer.headers["x-error-code"] == "RevisionNotFound"


def test_ids_without_a_namespace_are_404(ann):
    for path in ("/gpt2/resolve/main/x", "/datasets/squad/resolve/main/x", "/api/models/gpt2",
                 "/api/models/gpt2/tree/main", "/api/datasets/squad/revision/main"):  # fmt: skip
        answer = ann.get(path)
        assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound"), path


@pytest.mark.parametrize("name", ["page.html", "pic.SVG", "feed.xml", "x.xhtml", "doc.pdf"])
def test_files_that_can_carry_script_are_downloads_in_a_sandbox(repo, name):
    repo.put(name, b"<script>alert(1)</script>")
    headers = repo.client.get(f"/ann/m/resolve/main/{name}").headers
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["content-type"] == "application/octet-stream"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ['q"uote\\.txt', "grüße 100%.txt", "日本.bin", "semi;colon"])
def test_a_file_name_cannot_break_out_of_its_header(name):
    header = content_disposition(f"dir/{name}")
    assert header.isascii() and header.count('"') == 2 and "\n" not in header
    assert header.startswith("inline; filename*=UTF-8''") and header.endswith('";')


def test_raw_gives_the_pointer_of_a_large_file(filled):
    pointer = filled.client.get("/ann/m/raw/main/big.bin")
    assert pointer.text.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")
    assert filled.client.get("/ann/m/raw/main/dir/a.txt").content == TEXT


def test_behind_nginx_a_raw_file_is_handed_over_by_name(hub, filled):
    client = hub.client("ann", sendfile="x-accel")
    answer = client.get("/ann/m/resolve/main/big.bin", headers={"Range": "bytes=5-9"})
    target = answer.headers["x-accel-redirect"]
    assert answer.status_code == 200 and answer.content == b""
    assert target.startswith("/_cairn_store/") and ".." not in target
    stored = hub.settings.store_dir / target.removeprefix("/_cairn_store/")
    assert stored.read_bytes() == filled.large_bytes
    assert answer.headers["x-repo-commit"] and answer.headers["etag"]
    again = client.get("/ann/m/resolve/main/big.bin", headers={"X-Cairn-No-Accel": "1"})
    assert again.content == filled.large_bytes
    assert "x-accel-redirect" not in client.head("/ann/m/resolve/main/big.bin").headers


def test_downloads_are_counted_once_per_file_not_per_range(filled):
    filled.client.get("/ann/m/resolve/main/dir/a.txt")
    filled.client.get("/ann/m/resolve/main/dir/a.txt", headers={"Range": "bytes=4-5"})
    filled.client.head("/ann/m/resolve/main/dir/a.txt")
    assert filled.client.get(filled.api).json()["downloads"] == 1


def test_reading_stops_and_the_reader_is_closed_when_the_client_goes(hub):
    content = b"x" * (BLOCK_BYTES * 6)
    blob = hub.house.store.put_bytes(content)
    hub.house.store.optimize(blob.digest, None)
    assert hub.house.store.local_path(blob.digest) is None
    closed, sent = [], []
    app = hub.client().app

    class Watched:
        def __init__(self, reader):
            self.reader = reader

        def pieces(self, *args):
            return self.reader.pieces(*args)

        def close(self):
            closed.append(True)
            self.reader.close()

    class Store:
        local_path = staticmethod(hub.house.store.local_path)

        @staticmethod
        def open(digest):
            return Watched(hub.house.store.open(digest))

    async def scenario():
        gone = asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(len(message.get("body", b"")))
            if len(sent) == 3:  # the start and two blocks
                gone.set()
                await asyncio.sleep(0)

        scope = {"type": "http", "app": app, "headers": [], "method": "GET", "path": "/"}
        response = BlobResponse(Request(scope), blob, Answer(Part(200, 0, len(content)), {}))
        response._store = Store()
        await response(scope, receive, send)

    asyncio.run(scenario())
    assert closed == [True] and sum(sent) <= 3 * BLOCK_BYTES
