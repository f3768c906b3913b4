"""`cairn user`: the people of a hub."""

from typing import Annotated

import typer

from cairn.cli.console import out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import AsJson, DataDir

app = typer.Typer(help="Add and list users.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="User name; also the user's namespace.")],
    full_name: Annotated[str, typer.Option(help="Name shown on pages.")] = "",
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May do everything on this hub.")] = False,
    data: DataDir = None,
) -> None:
    """Add a user. Give them a token with `cairn token create NAME`."""
    house = open_hub(data)
    account = house.catalog.accounts.create_user(
        name, full_name=full_name, email=email, is_admin=admin
    )
    place = "" if data is None else f" --data {data}"
    out().print(f"added user {account.name}; next: cairn token create {account.name}{place}")


@app.command("list")
def list_users(data: DataDir = None, as_json: AsJson = False) -> None:
    """List users and organisations."""
    from rich.table import Table

    house = open_hub(data)
    accounts = house.catalog.accounts.list_accounts()
    if as_json:
        print_json(
            [
                {
                    "name": a.name,
                    "full_name": a.full_name,
                    "type": "org" if a.is_org else "user",
                    "admin": a.is_admin,
                }
                for a in accounts
            ]
        )
        return
    table = Table("name", "full name", "kind")
    for account in accounts:
        kind = "organisation" if account.is_org else "admin" if account.is_admin else "user"
        table.add_row(account.name, account.full_name, kind)
    out().print(table)
