"""`cairn token`: access tokens, shown once and kept only as a hash."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from cairn.cli.console import err, out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import OneOf, as_json, data_dir
from cairn.domain import Grant, Scope

user = click.argument("user", help="User the token acts for.")


@click.group(no_args_is_help=True)
def token() -> None:
    """Create, list and revoke access tokens."""


@token.command()
@user
@click.option(
    "--name", default="default", show_default=True, help="Label to recognise the token by."
)
@click.option(
    "--scope",
    type=OneOf(Scope),
    help="What it may be used for (default: write; fineGrained with --grant).",
)
@click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="PERMISSION:WHERE",
    help="Restrict it to a namespace or a repo, as in write:lab or read:datasets/lab/set;"
    " permissions are read, write and admin. May be given several times.",
)
@click.option(
    "--expires-days",
    type=click.IntRange(min=1),
    help="Days until it stops working (default: never).",
)
@data_dir
def create(
    user: str,
    name: str,
    scope: Scope | None,
    grants: tuple[str, ...],
    expires_days: int | None,
    data: Path | None,
) -> None:
    """Create a token and print it, this once, on standard output."""
    house = open_hub(data)
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    scope = scope or (Scope.FINE_GRAINED if grants else Scope.WRITE)
    secret = house.catalog.tokens.create(
        user, name, scope, expires_at=expires_at, grants=[Grant.parse(text) for text in grants]
    )
    err().print(f"{scope.value} token {name!r} of {user}; it is not shown again:")
    click.echo(secret)


@token.command("list")
@user
@data_dir
@as_json
def list_tokens(user: str, data: Path | None, as_json: bool) -> None:
    """List a user's tokens; the secrets themselves are not kept."""
    from rich.table import Table

    catalog = open_hub(data).catalog
    tokens = catalog.tokens.list(catalog.accounts.get(user).name)
    if as_json:
        print_json(
            [
                {
                    "name": t.name,
                    "scope": t.scope.value,
                    "grants": [str(grant) for grant in t.grants],
                    "created_at": t.created_at.isoformat(),
                    "expires_at": t.expires_at.isoformat() if t.expires_at else None,
                    "last_used_at": t.last_used_at.isoformat() if t.last_used_at else None,
                }
                for t in tokens
            ]
        )
        return
    table = Table("name", "scope", "created", "expires", "last used")
    for t in tokens:
        table.add_row(
            t.name,
            "\n".join(map(str, t.grants)) or t.scope.value,
            *(_day(d) for d in (t.created_at, t.expires_at)),
            _day(t.last_used_at),
        )
    out().print(table)


@token.command()
@user
@click.argument("name", help="The token's label.")
@data_dir
def revoke(user: str, name: str, data: Path | None) -> None:
    """Make a token stop working at once."""
    open_hub(data).catalog.tokens.revoke(user, name)
    out().print(f"revoked token {name!r} of {user}")


def _day(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%d %H:%M") if when else "never"
