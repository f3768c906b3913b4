"""`cairn serve`: run the hub."""

from pathlib import Path

import click

from cairn.cli.options import LOCAL_PATH, data_dir


@click.command()
@data_dir
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 picks a free one.")
@click.option("--public-url", help="URL clients use, when a proxy stands in front.")
@click.option(
    "--admin-token-file",
    type=LOCAL_PATH,
    help="Also write the first admin token here (mode 0600).",
)
def serve(
    data: Path | None,
    host: str | None,
    port: int | None,
    public_url: str | None,
    admin_token_file: Path | None,
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
        click.echo(f"admin token: {token}")
        click.echo("Keep it: it is not shown again. `cairn token create admin` makes another.")
    run(house, settings, listener, lambda url: click.echo(f"Cairn is ready at {url}"))
