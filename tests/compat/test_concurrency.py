"""Several clients at once: every acknowledged commit is there, readers are never disturbed."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.compat import minilm
from tests.compat.clients import LFS, XET, Client, Mode
from tests.compat.hubs import Hub


def _commit_in_threads(repo, names):
    import os
    from concurrent.futures import ThreadPoolExecutor

    from huggingface_hub import CommitOperationAdd, HfApi

    def commit(name):
        files = {f"{name}.txt": name.encode(), f"{name}.bin": os.urandom(100_000)}
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        return HfApi().create_commit(repo, operations, commit_message=name).oid

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(commit, names))


def check_all_there(client: Client, repo: str, names: list[str], oids: list[str]) -> None:
    assert len(set(oids)) == len(names)
    commits = client.api.list_repo_commits(repo)
    assert {c.commit_id for c in commits} >= set(oids)
    assert len(commits) == len(names) + 1
    expected = {f"{name}.{ending}" for name in names for ending in ("txt", "bin")}
    assert set(client.api.list_repo_files(repo)) == expected | {".gitattributes"}


def test_eight_threads_commit_to_one_branch_and_nothing_is_lost(client: Client, repo: str) -> None:
    names = [f"thread-{n}" for n in range(16)]
    oids = client.run(_commit_in_threads, repo, names)
    check_all_there(client, repo, names, oids)


@pytest.mark.slow
def test_eight_processes_commit_to_one_branch_and_nothing_is_lost(
    new_client: Callable[..., Client], default_client: Client, name: str
) -> None:
    default_client.api.create_repo(name)
    processes = [new_client(mode) for mode in (XET, LFS) * 4]
    names = [[f"process-{p}-{n}" for n in range(3)] for p in range(len(processes))]
    import inspect

    source = inspect.getsource(_commit_in_threads)
    request = {"target": "function", "name": "_commit_in_threads", "source": source}
    for process, own in zip(processes, names, strict=True):
        process.send(request, [name, own])
    oids = [oid for process in processes for oid in process.receive()]
    check_all_there(default_client, name, [n for own in names for n in own], oids)


def test_creating_one_repo_from_everywhere_makes_one_repo(client: Client, name: str) -> None:
    outcomes = client.run(_create_in_threads, name)
    assert sorted(outcomes) == ["409"] * 7 + ["made"]
    assert len(client.api.list_repo_commits(name)) == 1


def _create_in_threads(repo):
    from concurrent.futures import ThreadPoolExecutor

    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    def create(_):
        try:
            HfApi().create_repo(repo)
        except HfHubHTTPError as error:
            return str(error.response.status_code)
        return "made"

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(create, range(8)))


def test_a_download_goes_on_while_its_file_is_rewritten_as_tensors(
    new_client: Callable[..., Client], tmp_path: Path, hub_folder: Path
) -> None:
    """The slow reader has the beginning before, and the end after the file was rewritten."""
    weights = tmp_path / minilm.WEIGHTS  # far more than the connection has room for
    numbers = np.random.default_rng(1).normal(0, 0.02, (12, 1000, 700)).astype(np.float32)
    save_file({f"layer.{n}": layer for n, layer in enumerate(numbers)}, weights)
    with Hub(hub_folder, optimize="false") as hub:
        client = new_client(url=hub.url, token=hub.admin_token)
        client.api.create_repo("admin/moving")
        client.api.upload_file(
            path_or_fileobj=weights, path_in_repo=minilm.WEIGHTS, repo_id="admin/moving"
        )
        url = f"{hub.url}/admin/moving/resolve/main/{minilm.WEIGHTS}"
        signal = tmp_path / "go-on"
        source = {"target": "function", "name": "_read_slowly", "source": _source(_read_slowly)}
        client.send(source, [url, str(signal)])
        other = new_client(url=hub.url, token=hub.admin_token)
        hub.cairn("store", "optimize")
        target = tmp_path / "meanwhile"
        other.api.snapshot_download("admin/moving", local_dir=target)
        signal.touch()
        assert client.receive() == minilm.sha256(weights)
        assert minilm.sha256(target / minilm.WEIGHTS) == minilm.sha256(weights)
        assert hub.store()["pending"] == 0


def _source(function: Callable[..., object]) -> str:
    import inspect

    return inspect.getsource(function)


def _read_slowly(url, signal):
    import hashlib
    import os
    import time

    from huggingface_hub.utils import build_hf_headers, get_session

    digest = hashlib.sha256()
    with get_session().stream("GET", url, headers=build_hf_headers()) as answer:
        for number, block in enumerate(answer.iter_bytes(100_000)):
            digest.update(block)
            while number == 5 and not os.path.exists(signal):
                time.sleep(0.05)
    return digest.hexdigest()


@pytest.fixture
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own-hub")


def test_readers_and_a_writer_do_not_disturb_each_other(
    clients: Callable[[Mode], Client], new_client: Callable[..., Client], pushed_minilm: str,
    name: str, tmp_path: Path,
) -> None:  # fmt: skip
    writer, reader = clients(XET), new_client(LFS)
    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"{number}.bin").write_bytes(os.urandom(2_000_000))
    download = {"target": "api", "name": "snapshot_download", "token": None}
    reader.send(download, [pushed_minilm], {"local_dir": str(tmp_path / "out")})
    writer.api.create_repo(name)
    writer.api.upload_folder(repo_id=name, folder_path=tmp_path / "in")
    reader.receive()
    assert minilm.digests(tmp_path / "out") == minilm.digests(minilm.FOLDER)
    assert set(writer.api.list_repo_files(name)) >= {f"{n}.bin" for n in range(6)}
