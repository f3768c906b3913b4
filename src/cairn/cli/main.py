"""Entry point of the `cairn` command: gathers the commands and turns errors into exit codes."""

import sys
from typing import Annotated

import typer

from cairn import __version__
from cairn.cli import convert, diff, inspect, org, serve, store, token, user
from cairn.cli.errors import exit_code
from cairn.errors import CairnError, UnavailableError

app = typer.Typer(
    name="cairn",
    help="An open home for AI checkpoints.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("inspect")(inspect.inspect)
app.command("diff")(diff.diff)
app.command("convert")(convert.convert)
app.add_typer(store.app, name="store")
app.add_typer(user.app, name="user")
app.add_typer(org.app, name="org")
app.add_typer(token.app, name="token")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cairn {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """An open home for AI checkpoints."""
    del version


def main() -> None:
    """Run the command line; a `CairnError` becomes one line on standard error and an exit code."""
    try:
        app()
    except CairnError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(exit_code(error))
    except OSError as error:  # a full disk, a file nobody may read: the system's words say it
        place = f" ({error.filename})" if error.filename else ""
        typer.secho(f"error: {error.strerror or error}{place}", err=True, fg="red")
        sys.exit(exit_code(UnavailableError()))
