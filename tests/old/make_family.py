"""Writes `family-<version>.json`: a family file of the present format, in base64.

Run once per format version, by the code that introduced it, and keep the result:
`python -m tests.old.make_family`. Never run again to make a failing test pass.
"""

import base64
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cairn.bootstrap import open_house
from cairn.catalog import PutFile
from cairn.config import Settings
from cairn.domain import Account, RepoId, RepoType
from cairn.store import NamedBlob
from cairn.store.family_file import VERSION
from cairn.workflows.family_repos import describe_departure
from tests.old.make_store import contents
from tests.store.making import layout_of

STORE_VERSION = 2  # whose contents it holds
REPO = RepoId(RepoType.MODEL, "ann", "old")


def fixture(version: int) -> Path:
    """The file that holds the family file of a format version."""
    return Path(__file__).with_name(f"family-{version}.json")


def main() -> None:
    """Make a hub with one repo and a name for each of its files, and export both."""
    with tempfile.TemporaryDirectory() as folder:
        house = open_house(Settings(data_dir=Path(folder) / "data"))
        house.catalog.accounts.create_user("ann")
        names, changes = [], []
        for name, data in contents(STORE_VERSION).items():
            blob = house.store.put_bytes(data)
            house.store.optimize(
                blob.digest, layout_of(data) if name.endswith(".safetensors") else None
            )
            names.append(NamedBlob(name, blob, 1_700_000_000_000_000, {"name": name}))
            changes.append(PutFile.large(name, blob))
        record = house.catalog.repos.create(REPO, private=True)
        revision = house.catalog.history.commit(
            record.uid,
            record.default_ref,
            changes,
            expected_parent=None,
            author=Account("ann", "Ann"),
            title="All of it",
            when=datetime(2026, 11, 27, 4, tzinfo=UTC),
        )
        leaving, made = describe_departure(house, [REPO]), bytearray()
        with house.store.exporting(leaving.blobs) as export:
            export.write(made.extend, lambda done: None, names=names, repos=leaving.members)
        house.catalog.close()
    kept = {"commit": revision.id, "file": base64.b64encode(made).decode()}
    fixture(VERSION).write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
