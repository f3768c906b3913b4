"""How fast parts are coded on one core, and into how many bytes, against copying them.

    python benchmarks/codecs.py --folder DIR [--rounds 5] [--mb 48]

DIR holds the corpus (corpus.py builds it). Parts of the largest tensors of a file are coded alone
and as their difference to the same tensors of another file. Seconds are CPU time of the one thread
that works; each round does every contender once, and the best round counts. GB/s are plain bytes.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import machine
import numpy as np
from baselines import FLOATS, exclusive_or, pack_zstd, plane_frames, unplaned

from cairn.domain import DType
from cairn.formats import FileSource, read_layout
from cairn.store import residual
from cairn.store.codecs import CODECS
from cairn.store.cutting import MAX_PART_BYTES
from cairn.store.scratch import Scratch

NAMES = {residual.PLANES: "planes", residual.WHOLE: "whole", residual.BY_EXPONENT: "by exponent"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A part and the same bytes of its base."""

    plain: memoryview
    base: memoryview
    dtype: DType


CLASSES = {
    "F32 fine-tune": ("tuned-b.safetensors", "base.safetensors"),
    "BF16, cast of a fine-tune": ("tuned-b-bf16.safetensors", "base-bf16.safetensors"),
    "BF16, trained in it": ("trained-in-bf16.safetensors", "base-bf16.safetensors"),
    "F32 step of a training": ("series-4.safetensors", "series-3.safetensors"),
}


def tensors(path: Path) -> dict[str, tuple[DType, bytes]]:
    """The storages of a file under the names of their tensors."""
    with FileSource(path) as source:
        layout = read_layout(source)
        return {
            t.name: (t.dtype, source.read_at(t.span.start, t.span.size_bytes))
            for t in layout.tensors
        }


def pairs(tuned: Path, base: Path, limit_bytes: int) -> list[Pair]:
    """Parts of tensors that differ, the largest tensors first."""
    others, found, size = tensors(base), [], 0
    for name, (dtype, data) in sorted(tensors(tuned).items(), key=lambda item: -len(item[1][1])):
        if name not in others or others[name][1] == data:
            continue
        for at in range(0, len(data), MAX_PART_BYTES):
            part = slice(at, at + MAX_PART_BYTES)
            found.append(Pair(memoryview(data)[part], memoryview(others[name][1])[part], dtype))
            size += len(found[-1].plain)
            if size >= limit_bytes:
                return found
    return found


class Table:
    """Best CPU seconds of each contender in both directions, and the bytes it makes."""

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._rows: dict[str, tuple[int, float, float]] = {}

    def add(self, name: str, stored: int, encoding_s: float, decoding_s: float) -> None:
        _, one, other = self._rows.get(name, (0, float("inf"), float("inf")))
        self._rows[name] = stored, min(one, encoding_s), min(other, decoding_s)

    def print(self, title: str) -> None:
        copy = self._rows["memory copy"][2]
        print(f"\n### {title}, {self._size / 1e6:.0f} MB\n")
        print("| | share | encode GB/s | decode GB/s | decode, of a copy |\n|---|---|---|---|---|")
        for name, (stored, encoding_s, decoding_s) in self._rows.items():
            speeds = (f"{self._size / 1e9 / s:.2f}" for s in (encoding_s, decoding_s))
            share = f"{stored / self._size:.4f}"
            print(f"| {name} | {share} | {' | '.join(speeds)} | {copy / decoding_s:.2f} |")


def timed(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def copy(plain: memoryview, out: memoryview) -> None:
    np.copyto(np.frombuffer(out, np.uint8), np.frombuffer(plain, np.uint8))


def encode_bitx(pair: Pair) -> bytes:
    mixed = exclusive_or(bytes(pair.plain), bytes(pair.base)).tobytes()
    return plane_frames(mixed, FLOATS[pair.dtype], pack_zstd, rotate=False)


def decode_bitx(stored: bytes, pair: Pair, out: memoryview) -> None:
    mixed = unplaned(stored, FLOATS[pair.dtype], rotate=False)
    np.bitwise_xor(mixed, np.frombuffer(pair.base, np.uint8), out=np.frombuffer(out, np.uint8))


class Contenders:
    """The ways to code one list of parts, each doing all of them."""

    def __init__(self, found: list[Pair]) -> None:
        self._pairs = found
        self._scratch = Scratch()
        self._out = np.empty(MAX_PART_BYTES, np.uint8).data

    def round(self, table: Table) -> None:
        """Everything once."""
        plain = [bytes(pair.plain) for pair in self._pairs]
        copying = timed(lambda: self._decode_all(plain, lambda data, _, out: copy(data, out)))
        table.add("memory copy", sum(map(len, plain)), copying, copying)
        self._run(table, "alone", self._encode_alone, self._decode_alone)
        self._run(table, "BitX (exclusive or, planes, zstd 3)", encode_bitx, decode_bitx)
        for coding, name in NAMES.items():
            self._run(table, name, self._encoder(coding), self._decoder(coding))

    def _run(
        self,
        table: Table,
        name: str,
        encode: Callable[[Pair], bytes],
        decode: Callable[[bytes, Pair, memoryview], None],
    ) -> None:
        stored: list[bytes] = []
        encoding = timed(lambda: stored.extend(encode(pair) for pair in self._pairs))
        decoding = timed(lambda: self._decode_all(stored, decode))
        table.add(name, sum(map(len, stored)), encoding, decoding)
        for data, pair in zip(stored, self._pairs, strict=True):
            out = self._out[: len(pair.plain)]
            decode(data, pair, out)
            assert out == pair.plain, f"{name} gives other bytes"

    def _decode_all(
        self, stored: list[bytes], decode: Callable[[bytes, Pair, memoryview], None]
    ) -> None:
        for data, pair in zip(stored, self._pairs, strict=True):
            decode(data, pair, self._out[: len(pair.plain)])

    def _encode_alone(self, pair: Pair) -> bytes:
        return CODECS.get("planes").encode(pair.plain, pair.dtype) or bytes(pair.plain)

    def _decode_alone(self, stored: bytes, pair: Pair, out: memoryview) -> None:
        CODECS.get("planes").decode_into(memoryview(stored), out, pair.dtype)

    def _encoder(self, coding: int) -> Callable[[Pair], bytes]:
        return lambda pair: residual.encode_residual(
            pair.plain, pair.base, pair.dtype, coding, self._scratch
        )

    def _decoder(self, coding: int) -> Callable[[bytes, Pair, memoryview], None]:
        def decode(stored: bytes, pair: Pair, out: memoryview) -> None:
            copy(pair.base, out)  # the prediction
            residual.apply_residual(coding, memoryview(stored), out, pair.dtype, self._scratch)

        return decode


def main() -> None:
    """Measure the classes of data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mb", type=int, default=48, help="plain bytes of each class")
    options = parser.parse_args()
    print(
        f"# Codecs\n\n{machine.describe()}; {options.rounds} rounds, load {os.getloadavg()[0]:.1f}."
    )
    for title, (tuned, base) in CLASSES.items():
        found = pairs(options.folder / tuned, options.folder / base, options.mb * 1_000_000)
        contenders = Contenders(found)
        contenders.round(Table(1))  # compiles, and touches memory
        table = Table(sum(len(pair.plain) for pair in found))
        for _ in range(options.rounds):
            contenders.round(table)
        table.print(title)


if __name__ == "__main__":
    main()
