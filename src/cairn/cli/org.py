"""`cairn org`: organisations and who belongs to them."""

from typing import Annotated

import typer

from cairn.cli.console import out
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import DataDir
from cairn.domain import OrgRole

app = typer.Typer(help="Add organisations and members.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Organisation name; also its namespace.")],
    owner: Annotated[str, typer.Option(help="User who administers it.")],
    full_name: Annotated[str, typer.Option(help="Name shown on pages.")] = "",
    data: DataDir = None,
) -> None:
    """Add an organisation."""
    house = open_hub(data)
    account = house.catalog.accounts.create_organisation(name, full_name=full_name, owner=owner)
    out().print(f"added organisation {account.name}, administered by {owner}")


@app.command()
def member(
    org: Annotated[str, typer.Argument(help="Organisation name.")],
    user: Annotated[str, typer.Argument(help="User name.")],
    role: Annotated[OrgRole, typer.Option(help="What the member may do.")] = OrgRole.WRITE,
    data: DataDir = None,
) -> None:
    """Make a user a member of an organisation, or change their role."""
    house = open_hub(data)
    house.catalog.accounts.set_member(org, user, role)
    out().print(f"{user} now has the role {role.value} in {org}")
