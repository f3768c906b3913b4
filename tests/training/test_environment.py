"""The record of what bits depend on: source, machine, versions, flags."""

import subprocess
from importlib import metadata
from pathlib import Path

import torch

from cairn.provenance.code_revision import code_revision
from cairn.training.environment import differences, environment


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def revision(folder: Path) -> str | None:
    return code_revision.__wrapped__(folder)


def test_the_source_is_told_by_commit_and_by_what_was_changed(tmp_path: Path) -> None:
    assert revision(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("lr = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Begin")
    clean = revision(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "train.py").write_text("lr = 2\n")
    changed = revision(tmp_path)
    assert changed is not None
    assert changed.startswith(f"{clean} with changes ")
    (tmp_path / "train.py").write_text("lr = 3\n")
    assert revision(tmp_path) not in (clean, changed)


def test_the_record_says_what_bits_depend_on() -> None:
    told = environment("abc", "sha256:00")
    assert told["torch"] == torch.__version__
    assert told["threads"] == torch.get_num_threads()
    assert told["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert (told["code"], told["data_digest"], told["processes"]) == ("abc", "sha256:00", 1)
    assert all(value is None or type(value) in (str, int, bool) for value in told.values())


def test_libraries_are_compared_by_what_is_installed_and_not_by_what_is_imported() -> None:
    installed = {"numpy": "1", "peft": metadata.version("peft")}
    assert differences(installed, {"numpy": "1", "transformers": "imported later"}) == ()
    found = differences({"peft": "0.1", "timm": "1.0"}, {})
    assert [one.name for one in found] == ["peft", "timm"]
    assert found[1].now is None


def test_what_only_one_side_knows_is_a_difference() -> None:
    found = differences({"a": 1, "b": 2, "cairn": "1"}, {"a": 1, "c": None, "d": 3, "cairn": "2"})
    assert [str(one) for one in found] == ["b was 2 and is None", "d was None and is 3"]


def test_a_checkpoint_of_before_devices_were_noted_goes_on_as_before() -> None:
    was = environment(None, None)
    del was["device"]
    assert differences(was, environment(None, None, "cuda")) == ()
    (found,) = differences(environment(None, None, "cpu"), environment(None, None, "cuda"))
    assert found.name == "device"
