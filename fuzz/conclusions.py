"""The target: what is concluded from the layouts, configurations and names of a whole folder.

    python -m fuzz.conclusions CORPUS [libFuzzer options]

Families, facts, matching of optimizers, parts, module trees, state dicts, the JSON form and the
comparison of a checkpoint with itself: nothing in a folder raises. Files that end in `.listing`
stand for what a reader made of them (see `fuzz.listings`), others are read. https://github.com/google/atheris
"""

import json
import sys
from contextlib import suppress

import atheris

from fuzz.late_imports import import_all

with atheris.instrument_imports(include=["cairn"]):
    from cairn.domain import Checkpoint, Module
    from cairn.errors import RequestError
    from cairn.formats import Files
    from cairn.testing.assemblers import files_of, layouts_of
    from cairn.workflows.conclusions import conclude
    from cairn.workflows.diff import compare, pairing_of
    from cairn.workflows.diff_summary import summary
    from cairn.workflows.inspection import describe
    from cairn.workflows.module_runs import runs
    from cairn.workflows.readable import ReadableCheckpoint
    from cairn.workflows.state_dicts import renamed, state_dict, without_repeats

    import_all("cairn.formats", "cairn.workflows")

from fuzz.folders import unpacked
from fuzz.listings import SUFFIX, layout_of


def conclude_and_describe(data: bytes) -> None:
    """What `cairn inspect`, `diff`, `convert` and the pages do before a value is read."""
    contents = unpacked(data)
    listed = {p.removesuffix(SUFFIX): d for p, d in contents.items() if p.endswith(SUFFIX)}
    others = {path: d for path, d in contents.items() if not path.endswith(SUFFIX)}
    layouts = layouts_of(others) | {path: layout_of(text) for path, text in listed.items()}
    files = files_of({**others, **listed})
    found = conclude("fuzz", files, dict(sorted(layouts.items())), {}, other_files_bytes=0)
    json.dumps(describe(found), allow_nan=False)
    if found.modules is not None:
        walk(found.modules)
    take_names(found)
    compare_with_itself(found, files)


def walk(module: Module) -> None:
    """The tree as it is shown, level by level."""
    for run in runs(module.children):
        walk(run.first)


def take_names(found: Checkpoint) -> None:
    """The names that a conversion would write, or why it would not."""
    with suppress(RequestError):
        state = without_repeats(state_dict(found.tensors()))
        renamed(state, prefix="model")


def compare_with_itself(found: Checkpoint, files: Files) -> None:
    """A comparison by headers and settings, and its summary."""
    readable = ReadableCheckpoint(found, files)
    pairs = pairing_of(readable, readable, values=False)
    summary(compare(readable, readable, pairs, values=False))


def main() -> None:
    """Fuzz; the arguments are libFuzzer's."""
    atheris.Setup(sys.argv, conclude_and_describe)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
