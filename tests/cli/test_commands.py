"""The command line knows its commands without importing them."""

import subprocess

import click
import pytest

from cairn import __version__
from cairn.cli.main import COMMANDS, app
from tests.cli.command import CAIRN, cairn


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says_first(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None and command.name == name
    said = " ".join((command.help or "").split())
    assert said.startswith(COMMANDS[name][1])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_installed_command_starts_with_nothing_imported_before(name: str) -> None:
    """Elsewhere commands are copies of a process that has imported them all."""
    told = subprocess.run([CAIRN, name, "--help"], capture_output=True, text=True, check=True)
    assert f"Usage: cairn {name}" in told.stdout and not told.stderr


def test_every_command_is_in_the_help_and_none_is_made_up() -> None:
    told = cairn("--help").stdout
    assert all(f"  {name} " in told for name in COMMANDS)
    assert "No such command" in cairn("inspekt", expect=2).stderr


def test_choices_are_spelt_as_in_documents_and_others_are_refused() -> None:
    assert "[file|name|size|dtype]" in cairn("inspect", "-h").stdout
    assert (
        "'tokens' is not one of"
        in cairn("org", "member", "o", "u", "--role", "tokens", expect=2).stderr
    )


def test_the_version_is_one_line() -> None:
    assert cairn("--version").stdout == f"cairn {__version__}\n"
