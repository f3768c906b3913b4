"""`cairn serve`: run the hub."""

from pathlib import Path
from typing import Annotated

import typer

from cairn.cli.options import DataDir


def serve(
    data: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="URL clients use, when a proxy stands in front.")
    ] = None,
    admin_token_file: Annotated[
        Path | None, typer.Option(help="Also write the first admin token here (mode 0600).")
    ] = None,
) -> None:
    """Run the hub. The first start makes the user `admin` and prints its token once."""
    from cairn.bootstrap import first_admin_token, open_house
    from cairn.config import load_settings
    from cairn.hub.server import listen, run

    settings = load_settings(
        data_dir=data,
        host=host,
        port=port,
        public_url=public_url,
        admin_token_file=admin_token_file,
    )
    house = open_house(settings)
    listener = listen(settings.host, settings.port)  # before a token is shown that only shows once
    token = first_admin_token(house.catalog, settings)
    if token is not None:
        typer.echo(f"admin token: {token}")
        typer.echo("Keep it: it is not shown again. `cairn token create admin` makes another.")
    run(house, settings, listener, lambda url: typer.echo(f"Cairn is ready at {url}"))
