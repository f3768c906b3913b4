"""What an import costs: the ground and the readers load nothing but the standard library.

Who may import whom is import-linter's job (`lint-imports`, contracts in pyproject.toml).
"""

import json
import subprocess
import sys

import pytest

SHOW_WHAT_COMES_WITH = """
import sys
before = set(sys.modules)
import {module}
import json
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(new - set(sys.stdlib_module_names))))
"""


def third_parties_imported_by(module: str) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_WHAT_COMES_WITH.format(module=module)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return set(json.loads(shown.stdout)) - {"cairn"}


@pytest.mark.parametrize("module", ["cairn", "cairn.domain", "cairn.plugins", "cairn.formats"])
def test_the_ground_and_the_readers_need_the_standard_library_only(module: str) -> None:
    assert third_parties_imported_by(module) == set()


def test_the_command_line_starts_without_database_web_and_arrays() -> None:
    heavy = {"numpy", "sqlalchemy", "alembic", "starlette", "fastapi", "pydantic", "uvicorn"}
    assert third_parties_imported_by("cairn.cli.main") & heavy == set()


def test_the_probe_sees_third_parties() -> None:
    assert "rich" in third_parties_imported_by("rich.console")
