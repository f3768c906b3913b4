"""A process that commits from several threads and prints each commit once it is acknowledged.

Usage: python -m tests.catalog.committers URL UID LABEL THREADS COMMITS
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from cairn.catalog import open_catalog
from cairn.domain import Account
from tests.catalog.histories import MAIN, WHEN, put

_PRINTING = Lock()


def main(url: str, uid: str, label: str, threads: int, commits: int) -> None:
    catalog = open_catalog(url)

    def commit(number: int) -> None:
        name = f"{label}-{number}"
        made = catalog.history.commit(
            uid,
            MAIN,
            [put(f"shared/{name}", name.encode())],
            expected_parent=None,
            author=Account("ada", "Ada"),
            title=name,
            when=WHEN,
        )
        with _PRINTING:
            print(name, made.id, flush=True)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(commit, range(commits)))
    catalog.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
