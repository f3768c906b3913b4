"""`cairn policy`: what becomes of files by their scans, on a hub and repo by repo."""

from pathlib import Path

import click

from cairn.cli.console import out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir
from cairn.cli.revisions import OPERATOR
from cairn.cli.targets import parse_repo
from cairn.domain import ScanPolicy

_CHOICES = [*(one.value for one in ScanPolicy), "default"]

repo_argument = click.argument("repo", help="The repo, as org/name or datasets/org/name.")


@click.group(no_args_is_help=True)
def policy() -> None:
    """Show and decide what becomes of files by their scans."""


@policy.command()
@repo_argument
@data_dir
@as_json
def show(repo: str, data: Path | None, as_json: bool) -> None:
    """Show which policy holds for a repo, and why."""
    from cairn.config import load_settings

    house = open_hub(data)
    setting = ScanPolicy(load_settings(data_dir=data).scan_policy)
    default = house.catalog.scan_policies.of_hub() or setting
    own = house.catalog.scan_policies.of(house.catalog.repos.get(parse_repo(repo)).uid)
    if as_json:
        shape = {"hub": default, "administrator": own.floor, "owner": own.wanted}
        print_json({"policy": own.over(default), **shape})
        return
    out().print(f"{own.over(default)} holds: the hub says {default}")
    out().print(f"administrators decided {own.floor or 'nothing'} for this repo")
    out().print(f"its owners want at least {own.wanted or 'nothing'}")


@policy.command()
@click.argument(
    "choice",
    required=False,
    type=click.Choice(_CHOICES),
    help="hold, warn or allow; default: as the settings say. Without it the policy is shown.",
)
@data_dir
@as_json
def hub(choice: str | None, data: Path | None, as_json: bool) -> None:
    """Show or decide which policy holds where a repo has none of its own, from now on.

    cairn policy hub warn --data cairn-data
    """
    from cairn.config import load_settings
    from cairn.workflows.scan_policies import decide_hub_policy

    house = open_hub(data)
    if choice is not None:
        decide_hub_policy(house, OPERATOR, None if choice == "default" else ScanPolicy(choice))
    setting = ScanPolicy(load_settings(data_dir=data).scan_policy)
    decided = house.catalog.scan_policies.of_hub()
    if as_json:
        print_json({"policy": decided or setting, "setting": setting, "administrator": decided})
        return
    why = f"the setting says {setting}" if decided else "as the setting says"
    out().print(f"{decided or setting} holds: {why}")


@policy.command("set")
@repo_argument
@click.argument(
    "choice",
    type=click.Choice(_CHOICES),
    help="hold, warn or allow; default: as the hub.",
)
@data_dir
def set_policy(repo: str, choice: str, data: Path | None) -> None:
    """Decide for a repo in place of the hub; owners may still be stricter.

    cairn policy set org/name warn --data cairn-data
    """
    from cairn.workflows.scan_policies import decide_policy

    decided = None if choice == "default" else ScanPolicy(choice)
    record = decide_policy(open_hub(data), OPERATOR, parse_repo(repo), decided)
    out().print(f"{record.id}: {'as the hub' if decided is None else decided}")
