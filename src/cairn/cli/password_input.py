"""Where a command gets a password from: a prompt or standard input, never an argument."""

import sys

import click

from cairn.errors import RequestError

# Arguments are seen by everybody on the machine and stay in the shell's history.
password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input: its first line."
)


def read_password(user: str, from_stdin: bool) -> str:
    """A new password, typed twice, or the first line of standard input.

    Raises:
        RequestError: standard input holds none, or is no terminal to ask on.
    """
    if not from_stdin:
        if not sys.stdin.isatty():
            raise RequestError("no terminal to ask on; give the password with --password-stdin")
        typed: str = click.prompt(
            f"new password of {user}", hide_input=True, confirmation_prompt="again", err=True
        )
        return typed
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise RequestError("standard input holds no password")
    return line
