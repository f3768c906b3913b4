"""`cairn user`: the people of a hub."""

from pathlib import Path

import click

from cairn.cli.console import out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir
from cairn.cli.password_input import password_stdin, read_password
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
@click.option("--password", "ask", is_flag=True, help="Ask for a password to sign in with.")
@password_stdin
@data_dir
def add(
    name: str,
    full_name: str,
    email: str | None,
    admin: bool,
    ask: bool,
    password_stdin: bool,
    data: Path | None,
) -> None:
    """Add a user. Give them a password, or a token with `cairn token create NAME`."""
    house = open_hub(data)
    password = read_password(name, password_stdin) if ask or password_stdin else None
    if password is not None:  # before there is a user without one
        house.catalog.passwords.check_new(password, (name, full_name, email or ""))
    account = house.catalog.accounts.create_user(
        name, full_name=full_name, email=email, is_admin=admin
    )
    if password is not None:
        house.catalog.passwords.set(account.name, password)
    place = "" if data is None else f" --data {data}"
    out().print(f"added user {account.name}; next: cairn token create {account.name}{place}")


@user.command()
@click.argument("name", help="User name.")
@password_stdin
@click.option("--remove", is_flag=True, help="Let nobody sign in with a password as this user.")
@data_dir
def passwd(name: str, password_stdin: bool, remove: bool, data: Path | None) -> None:
    """Set a user's password and sign them out everywhere; their tokens go on."""
    house = open_hub(data)
    name = house.catalog.accounts.get(name).name
    if remove:
        house.catalog.passwords.remove(name)
    else:
        house.catalog.passwords.set(name, read_password(name, password_stdin))
    ended = house.catalog.sessions.revoke_all(name)
    out().print(f"{'removed' if remove else 'set'} the password of {name}; {ended} sessions ended")


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
