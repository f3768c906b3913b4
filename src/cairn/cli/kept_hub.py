"""The hub that lies in a data directory: what every command beside `serve` works on."""

from pathlib import Path
from typing import TYPE_CHECKING

from cairn.errors import NotFoundError

if TYPE_CHECKING:
    from cairn.workflows.house import House


def open_hub(data: Path | None) -> "House":
    """Open the hub of `--data`, or of the data directory that the settings name.

    Only `cairn serve` makes a hub. A mistyped directory must not become an empty one, in which
    `store verify` finds nothing bad and a new user cannot log in anywhere.

    Raises:
        NotFoundError: no hub is kept there.
    """
    from cairn.bootstrap import open_house
    from cairn.config import load_settings

    settings = load_settings(data_dir=data)
    if not settings.store_dir.is_dir():
        raise NotFoundError(
            f"no hub is kept in {settings.data_dir}; name its data directory with --data,"
            " or start one there with `cairn serve`"
        )
    return open_house(settings)
