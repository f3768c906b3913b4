"""Where settings come from, which place wins, and what is said of one that makes no sense."""

import os
from pathlib import Path

import pytest

from cairn.config import load_settings
from cairn.errors import RequestError


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("CAIRN_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose file sets a port."""
    (tmp_path / "cairn.toml").write_text("port = 1001\n")
    return tmp_path


def refusal(data: Path) -> str:
    with pytest.raises(RequestError) as raised:
        load_settings(data_dir=data)
    return str(raised.value)


def test_the_command_line_beats_the_environment_and_that_beats_the_file(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(data_dir=data).port == 1001
    monkeypatch.setenv("CAIRN_PORT", "1002")
    assert load_settings(data_dir=data).port == 1002
    assert load_settings(data_dir=data, port=1003).port == 1003


def test_the_file_may_lie_elsewhere(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = data / "other.toml"
    other.write_text("port = 1004\n")
    monkeypatch.setenv("CAIRN_CONFIG", str(other))
    assert load_settings(data_dir=data).port == 1004
    other.unlink()
    assert str(other) in refusal(data)


def test_lists_are_written_with_commas_in_variables(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAIRN_ALLOWED_HOSTS", "a.example, b.example")
    assert load_settings(data_dir=data).allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prot = 1", "there is no setting 'prot'; did you mean port?"),
        ("colour = 1", "there is no setting 'colour'; docs/settings.md"),
        ("port = 70000", "port: "),
        ("port = ", "cairn.toml: "),
        ("log_level = 'loud'", "log_level: "),
        ("public_url = 'hub.example'", "public_url: 'hub.example' does not begin with http"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(line: str, said: str, data: Path) -> None:
    (data / "cairn.toml").write_text(line + "\n")
    assert said in refusal(data)


def test_a_misspelt_variable_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAIRN_LOGLEVEL", "debug")
    assert "CAIRN_LOGLEVEL sets nothing; did you mean CAIRN_LOG_LEVEL?" in refusal(data)


def test_variables_of_other_programs_are_left_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for theirs in ("CAIRN_SERVICE_HOST", "CAIRN_SERVICE_PORT", "CAIRN_PORT_8400_TCP"):
        monkeypatch.setenv(theirs, "10.0.0.1")
    for ours in (
        *("CAIRN_CHROMIUM", "CAIRN_PYTHON"),
        *("CAIRN_OLD_CLIENT_REQUIRED", "CAIRN_FRAMEWORKS_REQUIRED"),
    ):
        monkeypatch.setenv(ours, "1")
    load_settings(data_dir=data)
