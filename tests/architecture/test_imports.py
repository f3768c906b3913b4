"""What an import costs: the ground and the readers load nothing but the standard library.

Who may import whom is import-linter's job (`lint-imports`, contracts in pyproject.toml).
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

SHOW_WHAT_COMES_WITH = """
import sys
before = set(sys.modules)
{program}
import json
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(new - set(sys.stdlib_module_names))), file=sys.stderr)
"""


def third_parties_loaded_by(program: str) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_WHAT_COMES_WITH.format(program=program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return set(json.loads(shown.stderr)) - {"cairn"}


@pytest.mark.parametrize("module", ["cairn", "cairn.domain", "cairn.plugins", "cairn.formats"])
def test_the_ground_and_the_readers_need_the_standard_library_only(module: str) -> None:
    assert third_parties_loaded_by(f"import {module}") == set()


def test_the_command_line_starts_without_database_web_and_arrays() -> None:
    assert third_parties_loaded_by("import cairn.cli.main") == {"click"}


def test_inspecting_a_checkpoint_takes_no_more_than_a_table(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": np.zeros(3, dtype=np.float32)}, path)
    call = f"app(['inspect', {str(path)!r}], standalone_mode=False)"
    loaded = third_parties_loaded_by(f"from cairn.cli.main import app\n{call}")
    assert loaded <= {"click", "rich"}


def test_training_without_torch_names_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['torch'] = None; import cairn.training"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MissingExtraError: training needs torch: pip install 'cairn-hub[train]'" in done.stderr


def test_the_probe_sees_third_parties() -> None:
    assert "rich" in third_parties_loaded_by("import rich.console")


@pytest.mark.parametrize("package", ["cairn.domain", "cairn.config", "cairn.scanner"])
def test_names_imported_late_are_all_there_and_only_those(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = module.Nothing


def test_scanning_a_file_takes_no_third_party_but_the_command_lines(tmp_path: Path) -> None:
    path = tmp_path / "number.pkl"
    path.write_bytes(b"\x80\x02K\x01.")
    call = f"app(['scan', {str(path)!r}], standalone_mode=False)"
    loaded = third_parties_loaded_by(f"from cairn.cli.main import app\n{call}")
    assert loaded == {"click"}
