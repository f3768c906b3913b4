"""`cairn token`: access tokens, shown once and kept only as a hash."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cairn.cli.console import err, out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import AsJson, DataDir
from cairn.domain import Scope

app = typer.Typer(help="Create, list and revoke access tokens.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="User the token acts for.")]


@app.command()
def create(
    user: User,
    name: Annotated[str, typer.Option(help="Label to recognise the token by.")] = "default",
    scope: Annotated[Scope, typer.Option(help="What it may be used for.")] = Scope.WRITE,
    expires_days: Annotated[
        int | None, typer.Option(min=1, help="Days until it stops working (default: never).")
    ] = None,
    data: DataDir = None,
) -> None:
    """Create a token and print it, this once, on standard output."""
    house = open_hub(data)
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    token = house.catalog.tokens.create(user, name, scope, expires_at=expires_at)
    err().print(f"{scope.value} token {name!r} of {user}; it is not shown again:")
    typer.echo(token)


@app.command("list")
def list_tokens(user: User, data: DataDir = None, as_json: AsJson = False) -> None:
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
            t.scope.value,
            *(_day(d) for d in (t.created_at, t.expires_at)),
            _day(t.last_used_at),
        )
    out().print(table)


@app.command()
def revoke(
    user: User,
    name: Annotated[str, typer.Argument(help="The token's label.")],
    data: DataDir = None,
) -> None:
    """Make a token stop working at once."""
    open_hub(data).catalog.tokens.revoke(user, name)
    out().print(f"revoked token {name!r} of {user}")


def _day(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%d %H:%M") if when else "never"
