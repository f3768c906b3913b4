"""`cairn org`: organisations and who belongs to them."""

from pathlib import Path

import click

from cairn.cli.console import out
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import OneOf, data_dir
from cairn.cli.quota import quota_command
from cairn.domain import OrgRole


@click.group(no_args_is_help=True)
def org() -> None:
    """Add organisations and members; say how much they may keep."""


org.add_command(quota_command(of_organisations=True))


@org.command()
@click.argument("name", help="Organisation name; also its namespace.")
@click.option("--owner", required=True, help="User who administers it.")
@click.option("--full-name", default="", help="Name shown on pages.")
@data_dir
def add(name: str, owner: str, full_name: str, data: Path | None) -> None:
    """Add an organisation."""
    house = open_hub(data)
    account = house.catalog.accounts.create_organisation(name, full_name=full_name, owner=owner)
    out().print(f"added organisation {account.name}, administered by {owner}")


@org.command()
@click.argument("organisation", metavar="ORG", help="Organisation name.")
@click.argument("user", help="User name.")
@click.option(
    "--role",
    type=OneOf(OrgRole),
    default=OrgRole.WRITE.value,
    show_default=True,
    help="What the member may do.",
)
@data_dir
def member(organisation: str, user: str, role: OrgRole, data: Path | None) -> None:
    """Make a user a member of an organisation, or change their role."""
    house = open_hub(data)
    house.catalog.accounts.set_member(organisation, user, role)
    out().print(f"{user} now has the role {role.value} in {organisation}")
