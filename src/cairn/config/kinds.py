"""Kinds of values that settings have: lists, web addresses, networks."""

import ipaddress
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode


def _split(value: object) -> object:
    """Accept `a,b` beside TOML lists, because environment variables are strings."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def web_address(value: str | None) -> str | None:
    """An address that browsers open."""
    if value and not value.startswith(("http://", "https://")):
        raise ValueError(f"{value!r} does not begin with http:// or https://")
    return value


def networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """IP addresses and networks."""
    for value in values:
        ipaddress.ip_network(value)  # its ValueError says what is wrong
    return values
