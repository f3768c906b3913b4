"""What every assembler must do; subclass `AssemblerConformance`, give it real folders of files.

class TestMine(AssemblerConformance):
    assembler = MyAssembler()

    @classmethod
    def make(cls) -> Mapping[str, Mapping[str, bytes]]:
        return {"two ranks": {"latest": ..., "global_step1/...": ...}}  # a few KB each
"""
# ruff: noqa: D102, S311 - the names of tests are sentences; chance is seeded on purpose

import random
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.domain import Assembly, Layout, Source
from cairn.errors import UntrustedDataError
from cairn.formats import Assembler, BytesSource, File, read_layout
from cairn.formats.folder import beside
from cairn.formats.values import blocks

Contents = Mapping[str, bytes]
"""The bytes of a checkpoint's files by path."""

Outcome = Mapping[str, Assembly | UntrustedDataError | None]
"""What assembling gave, by anchor."""

_CUTS = 24  # lengths each file is cut to
_FLIPS = 60  # bytes of each file that are flipped, each by itself
_MAX_PEAK_BYTES = 16 << 20  # above what the files themselves take
_ODD_PATHS = (
    *("", "/", "//", ".", "..", "../x", "/etc/passwd", "a/../b", "a//b", "\\", "a\\b", "C:\\x"),
    *("\0", "\n", "é", "\ud800", "x" * 5000, "a/" * 500, " ", "*", "[", "%00", ".metadata/", "-"),
)


@contextmanager
def _opened(path: str, data: bytes) -> Iterator[Source]:
    yield BytesSource(data, path)


def files_of(contents: Contents) -> dict[str, File]:
    """Bytes in memory as the files of a checkpoint."""
    return {path: File(len(data), partial(_opened, path, data)) for path, data in contents.items()}


def layouts_of(contents: Contents) -> dict[str, Layout]:
    """What the readable ones among these files are by themselves."""
    found: dict[str, Layout] = {}
    for path, data in contents.items():
        try:
            found[path] = read_layout(BytesSource(data, path))
        except UntrustedDataError:
            continue
    return found


def assembled(
    assembler: Assembler, files: Mapping[str, File], layouts: Mapping[str, Layout]
) -> Outcome:
    """What each anchor gives; any error but `UntrustedDataError` passes through and fails."""
    found: dict[str, Assembly | UntrustedDataError | None] = {}
    for anchor in assembler.anchors(sorted(files)):
        try:
            found[anchor] = assembler.assemble(anchor, files, layouts)
        except UntrustedDataError as error:
            found[anchor] = error
    return found


def only_assembly(assembler: Assembler, contents: Contents) -> Assembly:
    """The one assembly of a whole checkpoint; its errors are raised."""
    outcome = assembled(assembler, files_of(contents), layouts_of(contents))
    found = [result for result in outcome.values() if result is not None]
    assert len(found) == 1, outcome
    if isinstance(found[0], UntrustedDataError):
        raise found[0]
    return found[0]


def values_of(assembly: Assembly, contents: Contents) -> dict[str, bytes]:
    """The bytes of every tensor of an assembly, little-endian and row-major, by name."""

    def open_part(reference: str) -> AbstractContextManager[Source]:
        path = beside(assembly.path, reference)
        return _opened(path, contents[path])

    own = contents.get(assembly.path)
    source = None if own is None else BytesSource(own, assembly.path)
    return {t.name: b"".join(blocks(t, source, open_part)) for t in assembly.tensors}


def check(assembly: Assembly, contents: Contents) -> None:
    """Everything an assembly names is among the files, and every span inside its file."""
    assert assembly.parts <= contents.keys()
    for tensor in assembly.tensors:
        if not tensor.pieces and tensor.elements:
            assert tensor.span.stop <= len(contents[assembly.path]), tensor.name
        for piece in tensor.pieces:
            if not piece.path:
                assert not piece.span.size_bytes, tensor.name
                continue
            path = beside(assembly.path, piece.path)
            assert path in assembly.parts, (tensor.name, path)
            assert piece.span.stop <= len(contents[path]), (tensor.name, path)


class AssemblerConformance:
    """Whole checkpoints, damaged ones, incomplete ones; paths, work and memory."""

    assembler: Assembler

    @classmethod
    def make(cls) -> Mapping[str, Contents]:
        """Some whole checkpoints by label."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls) -> Mapping[str, Contents]:
        return cls.make()

    def test_whole_checkpoints_are_put_together(self, samples: Mapping[str, Contents]) -> None:
        for label, contents in samples.items():
            found = only_assembly(self.assembler, contents)
            assert found.format == self.assembler.name, label
            assert found.tensors or found.metadata, label
            check(found, contents)

    def test_every_value_can_be_read(self, samples: Mapping[str, Contents]) -> None:
        for contents in samples.values():
            found = only_assembly(self.assembler, contents)
            read = {name: len(data) for name, data in values_of(found, contents).items()}
            assert read == {tensor.name: tensor.size_bytes for tensor in found.tensors}

    def test_the_order_of_files_changes_nothing(self, samples: Mapping[str, Contents]) -> None:
        for contents in samples.values():
            turned = dict(reversed(list(contents.items())))
            assert only_assembly(self.assembler, contents) == only_assembly(self.assembler, turned)

    def test_a_checkpoint_in_a_folder_is_the_same(self, samples: Mapping[str, Contents]) -> None:
        for contents in samples.values():
            here = only_assembly(self.assembler, contents)
            below = {f"runs/a b/{path}": data for path, data in contents.items()}
            there = only_assembly(self.assembler, below)
            assert there.tensors == here.tensors
            assert there.parts == {f"runs/a b/{path}" for path in here.parts}
            check(there, below)

    def test_a_missing_file_raises_nothing_else(self, samples: Mapping[str, Contents]) -> None:
        for contents in samples.values():
            layouts = layouts_of(contents)
            for path in contents:
                left = {p: data for p, data in contents.items() if p != path}
                read = {p: found for p, found in layouts.items() if p != path}
                self._assembled(left, read)

    def test_files_cut_short_raise_nothing_else(self, samples: Mapping[str, Contents]) -> None:
        for contents in samples.values():
            for path, data in contents.items():
                ends = {0, 1, *(len(data) - n for n in range(1, min(4, len(data))))}
                ends |= {len(data) * n // _CUTS for n in range(_CUTS)}
                self._changed(contents, path, [data[:end] for end in sorted(ends)])

    def test_flipped_bytes_raise_nothing_else(self, samples: Mapping[str, Contents]) -> None:
        rng = random.Random(17)
        for contents in samples.values():
            for path, data in contents.items():
                damaged = []
                for at in rng.sample(range(len(data)), min(_FLIPS, len(data))):
                    changed = bytearray(data)
                    changed[at] ^= rng.choice((0xFF, 0x01, 0x80, 0x20))
                    damaged.append(bytes(changed))
                self._changed(contents, path, damaged)

    def test_files_that_are_something_else_raise_nothing_else(
        self, samples: Mapping[str, Contents]
    ) -> None:
        for contents in samples.values():
            for path in contents:
                others = [data for other, data in contents.items() if other != path]
                self._changed(contents, path, [*others, b"\0" * 300, b"x" * 300])

    def test_links_that_lead_out_are_not_followed(self, samples: Mapping[str, Contents]) -> None:
        for contents in samples.values():
            layouts = layouts_of(contents)
            for path in contents:
                files = files_of(contents)
                files[path] = replace(files[path], leads_out=True)
                for anchor, result in assembled(self.assembler, files, layouts).items():
                    if isinstance(result, Assembly):
                        named = {beside(anchor, p.path) for t in result.tensors for p in t.pieces}
                        assert path == anchor or path not in named

    def test_odd_paths_raise_nothing(self) -> None:
        for path in _ODD_PATHS:
            list(self.assembler.anchors([path]))
        list(self.assembler.anchors(_ODD_PATHS))

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(paths=st.lists(st.text(max_size=30)))
    def test_no_path_raises_anything(self, paths: "list[str]") -> None:
        assert list(self.assembler.anchors(paths)) == list(self.assembler.anchors(iter(paths)))

    def test_no_files_give_no_assembly(self) -> None:
        assert list(self.assembler.anchors([])) == []

    def test_memory_stays_bounded_on_damaged_files(self, samples: Mapping[str, Contents]) -> None:
        rng = random.Random(19)
        for contents in samples.values():
            layouts = layouts_of(contents)
            for path, data in contents.items():
                for _ in range(6):
                    changed = bytearray(data)
                    changed[rng.randrange(len(data))] ^= 0xFF
                    files = files_of({**contents, path: bytes(changed)})
                    tracemalloc.start()
                    assembled(self.assembler, files, layouts)
                    peak = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
                    assert peak < _MAX_PEAK_BYTES + sum(map(len, contents.values()))

    def _changed(self, contents: Contents, path: str, versions: "list[bytes]") -> None:
        """Assemble with each version of one file; the others' layouts are read once."""
        others = layouts_of({p: data for p, data in contents.items() if p != path})
        for version in versions:
            layouts = {**others, **layouts_of({path: version})}
            self._assembled({**contents, path: version}, layouts)

    def _assembled(self, contents: Contents, layouts: Mapping[str, Layout]) -> None:
        for result in assembled(self.assembler, files_of(contents), layouts).values():
            if isinstance(result, Assembly):
                check(result, contents)
