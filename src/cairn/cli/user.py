"""`cairn user`: the people of a hub."""

from pathlib import Path

import click

from cairn.cli.console import out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir
from cairn.cli.quota import quota_command


@click.group(no_args_is_help=True)
def user() -> None:
    """Add and list users; say how much they may keep."""


user.add_command(quota_command(of_organisations=False))


@user.command()
@click.argument("name", help="User name; also the user's namespace.")
@click.option("--full-name", default="", help="Name shown on pages.")
@click.option("--email", help="E-mail address.")
@click.option("--admin", is_flag=True, help="May do everything on this hub.")
@data_dir
def add(name: str, full_name: str, email: str | None, admin: bool, data: Path | None) -> None:
    """Add a user. Give them a token with `cairn token create NAME`."""
    house = open_hub(data)
    account = house.catalog.accounts.create_user(
        name, full_name=full_name, email=email, is_admin=admin
    )
    place = "" if data is None else f" --data {data}"
    out().print(f"added user {account.name}; next: cairn token create {account.name}{place}")


@user.command("list")
@data_dir
@as_json
def list_users(data: Path | None, as_json: bool) -> None:
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
