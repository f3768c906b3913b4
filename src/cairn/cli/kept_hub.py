"""The hub that lies in a data directory: what every command beside `serve` works on."""

from pathlib import Path
from typing import TYPE_CHECKING

from cairn.errors import NotFoundError

if TYPE_CHECKING:
    from cairn.store import Profile
    from cairn.workflows.house import House


def wanted_profile(name: str, max_depth: int | None, data: Path | None) -> "Profile":
    """The profile of this name, with chains as the settings have them unless `max_depth` says."""
    from cairn.bootstrap import profiles_of
    from cairn.config import load_settings

    profile = profiles_of(load_settings(data_dir=data))[name]
    return profile if max_depth is None else profile.up_to(max_depth)


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
