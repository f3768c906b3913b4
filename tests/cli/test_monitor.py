"""`cairn monitor`: looks once or again and again, tells in lines, stops when asked to."""

import json
import os
import pickle
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import CAIRN, cairn

MALICIOUS = b"cos\nsystem\n(S'true'\ntR."  # written by hand, never unpickled


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    cache = tmp_path / "hf" / "hub"
    cache.mkdir(parents=True)
    (cache / "good.pkl").write_bytes(pickle.dumps({"epoch": 3}, protocol=4))
    return {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_CACHE": "",
        "HUGGINGFACE_HUB_CACHE": "",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }


def test_the_cache_is_looked_at_once_and_the_exit_code_tells(
    tmp_path: Path, env: dict[str, str]
) -> None:
    assert "1 clean; 1 scanned anew" in cairn("monitor", "--once", env=env).stdout
    (tmp_path / "hf" / "hub" / "bad\x1b[2J.pkl").write_bytes(MALICIOUS)
    told = cairn("monitor", "--once", "--json", env=env, expect=1).stdout
    assert told.isascii() and "\x1b" not in told
    new, look = map(json.loads, told.splitlines())
    assert (new["event"], new["verdict"], new["before"]) == ("new", "malicious", None)
    assert (look["files"], look["scanned"], look["counts"]["malicious"]) == (2, 1, 1)


def test_it_goes_on_looking_until_it_is_told_to_stop(tmp_path: Path, env: dict[str, str]) -> None:
    command = [str(CAIRN), "monitor", str(tmp_path / "hf"), "--json", "--interval", "1s"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    ) as running:
        assert running.stdout is not None and running.stderr is not None

        def until(event: str) -> dict:
            while True:
                told = json.loads(running.stdout.readline())
                if told["event"] == event:
                    return told

        assert until("look")["files"] == 1
        (tmp_path / "hf" / "hub" / "bad.pkl").write_bytes(MALICIOUS)
        assert until("new")["path"] == "hub/bad.pkl"
        cairn("monitor", str(tmp_path / "hf"), "--once", env=env, expect=4)  # one at a time
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert "Traceback" not in running.stderr.read()
    assert (
        "1 malicious" in cairn("monitor", str(tmp_path / "hf"), "--once", env=env, expect=1).stdout
    )


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, env: dict[str, str]) -> None:
    cairn("monitor", str(tmp_path / "none"), "--once", env=env, expect=3)
