"""`cairn attach`: have a hub keep and show the signature of a revision."""

from pathlib import Path

import click

from cairn.cli.console import out, visible
from cairn.cli.options import EXISTING_FILE, MAIN, data_dir, hub_options
from cairn.cli.revisions import revisions_at
from cairn.cli.targets import parse_repo


@click.command()
@click.argument("bundle", type=EXISTING_FILE, help="What `cairn sign` wrote.")
@click.argument("repo", help="The repo it is about: org/name@revision.")
@hub_options
@data_dir
def attach(bundle: Path, repo: str, hub: str | None, token: str | None, data: Path | None) -> None:
    """Have a hub keep and show the signature of a revision.

    The bundle must sign the very files of the revision. So sign the folder that you push, and
    attach the bundle to what the hub made of it.

    \b
        cairn attach my-model/model.sig org/name@main --hub http://localhost:8400
    """  # noqa: D301 - click keeps the lines of a block that starts with a backspace
    name, _, revision = repo.partition("@")
    revisions = revisions_at(hub, token, data)
    verdict = revisions.attach(parse_repo(name), revision or MAIN, bundle.read_bytes())
    out().print(f"attached to {visible(repo)}, which is {visible(verdict)} now")
