"""The ways out of an HDF5 file: links to other files, raw data in them, virtual datasets.

Libraries follow all three without asking (CVE-2026-1669). Specification:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (IV.A.2.g, h, i).
"""

from collections.abc import Iterator

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.formats.hdf5_addresses import Addresses
from cairn.formats.hdf5_groups import is_group, links
from cairn.formats.hdf5_objects import DATA_LAYOUT, EXTERNAL_FILES, ObjectHeader
from cairn.formats.notes import Notes

_MAX_OBJECTS = 1_000_000
_SIZED_LAYOUT = 3
_VIRTUAL = 3


def ways_out(source: Source) -> Iterator[tuple[str, str]]:
    """Each as what it is and the path of the link or dataset.

    Raises:
        UntrustedDataError: the file is broken.
    """
    addresses = Addresses(source)
    seen: set[int] = set()
    waiting = [(addresses.root, "")]
    while waiting:
        address, path = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        if len(seen) > _MAX_OBJECTS:
            raise LimitError(f"more than {_MAX_OBJECTS} objects", source=source.name)
        header = ObjectHeader(addresses, address)
        if header.first(EXTERNAL_FILES) is not None:
            yield "HDF5 external storage", path
        if _is_virtual(header):
            yield "HDF5 virtual dataset", path
        if is_group(header):
            for link in links(addresses, header, Notes()):
                name = f"{path}/{link.name}"
                if link.address is not None:
                    waiting.append((link.address, name))
                elif link.kind != "soft":
                    yield "HDF5 external link", f"{name} ({link.kind})"


def _is_virtual(header: ObjectHeader) -> bool:
    layout = header.first(DATA_LAYOUT)
    return layout is not None and layout.number(1) >= _SIZED_LAYOUT and layout.number(1) == _VIRTUAL
