"""Where packages are commonly installed from: hosts and folders of hosts, each with the reason.

`sources.toml` is a list of `[[group]]` tables: `indexes`, `hosts` of single packages, `reason`.
"""

from functools import cache
from urllib.parse import urlsplit

from cairn.scanner.paths import climbs
from cairn.scanner.tables import groups


@cache
def _known() -> tuple[frozenset[str], frozenset[str]]:
    """Indexes, and hosts of packages."""
    indexes: set[str] = set()
    hosts: set[str] = set()
    for group in groups("package_sources"):
        indexes |= set(group.get("indexes", ()))
        hosts |= set(group.get("hosts", ()))
    return frozenset(indexes), frozenset(hosts | {index.partition("/")[0] for index in indexes})


def is_known_index(address: str) -> bool:
    """Whether an index of packages is a common one, reached safely."""
    host, path = _parts(address)
    indexes, _ = _known()
    return any(f"{host}{path}/".startswith(f"{known}/") for known in indexes)


def is_known_host(address: str) -> bool:
    """Whether a single package comes from where packages commonly lie, reached safely."""
    host, _ = _parts(address)
    return host in _known()[1]


def _parts(address: str) -> tuple[str, str]:
    """Host and path of an address; empty if it is none, or not encrypted on its way."""
    try:
        parts = urlsplit(address.removeprefix("git+"))
        host = parts.hostname or ""
    except ValueError:
        return "", ""
    safe = parts.scheme in ("https", "ssh") and not climbs(parts.path)
    return (host, parts.path.rstrip("/")) if safe else ("", "")
