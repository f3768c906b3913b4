"""Plug-ins: every module of a plug-in folder is in its room's table."""

from typing import Any

import pytest

from cairn.formats import ASSEMBLERS, READERS
from cairn.formats.recognition import FAMILIES
from cairn.plugins import Registry
from cairn.scanner import EXTRACTORS, RULES
from cairn.scanner.evidence import kinds as evidence_kinds
from cairn.store import CODECS
from cairn.store.predictors import PREDICTORS
from tests.architecture.checkout import ROOT, SOURCE


@pytest.mark.parametrize(
    ("folder", "registry"),
    [
        ("formats/readers", READERS),
        ("formats/assemblers", ASSEMBLERS),
        ("formats/families", FAMILIES),
        ("store/codecs", CODECS),
        ("store/predictors", PREDICTORS),
        ("scanner/extractors", EXTRACTORS),
        ("scanner/rules", RULES),
    ],
)
def test_every_plug_in_is_registered(folder: str, registry: Registry) -> None:
    files = {path.stem for path in (SOURCE / folder).glob("[!_]*.py")}
    package = f"cairn.{folder.replace('/', '.')}."
    homes = [type(real(plugin)).__module__ for plugin in registry]
    registered = {home.removeprefix(package) for home in homes if home.startswith(package)}
    assert files - {"base"} == registered


@pytest.mark.parametrize(
    "registry",
    [READERS, ASSEMBLERS, FAMILIES, CODECS, PREDICTORS, EXTRACTORS, RULES],
    ids=lambda registry: registry.kind,
)
def test_every_plug_in_explains_itself(registry: Registry) -> None:
    assert [plugin.name for plugin in registry if not type(real(plugin)).__doc__] == []


@pytest.mark.parametrize("registry", [READERS, ASSEMBLERS], ids=lambda registry: registry.kind)
def test_what_is_deferred_goes_by_the_name_it_has_itself(registry: Registry) -> None:
    assert [plugin.name for plugin in registry] == [real(plugin).name for plugin in registry]


def real(plugin: Any) -> Any:
    """The plug-in itself where another one stands for it until it is needed."""
    return getattr(plugin, "real", plugin)


def test_every_page_on_a_format_is_in_the_table_of_formats() -> None:
    folder = ROOT / "docs" / "formats"
    index = (folder / "README.md").read_text()
    pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_every_module_of_evidence_is_in_its_table() -> None:
    folder = SOURCE / "scanner" / "evidence"
    named = {module.__name__.rpartition(".")[2] for module in evidence_kinds.MODULES}
    assert {path.stem for path in folder.glob("[!_]*.py")} - {"kinds"} == named
