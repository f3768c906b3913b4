"""Measures what scans cost: start-up, a large checkpoint of torch, a sparse safetensors, opcodes.

    python benchmarks/scan.py --folder DIR [--picklescan COMMAND] [--gb 1]

Each command is a process of its own, all rounds interleaved, the best round counts. Processor time
is that of the command and all its children; on a busy machine it says more than the clock does.
"""

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from cairn.formats import FileSource
from cairn.formats.pickle_program import read_program

sys.path.insert(0, str(Path(__file__).parent))
from machine import describe

_ROUNDS = 5
_TENSOR_BYTES = 64 << 20
_SAVE = (
    "import sys, torch\n"
    "state = {f'layer.{i}': torch.rand(16 << 20) for i in range(int(sys.argv[2]))}\n"
    "torch.save(state, sys.argv[1])\n"
)


class Cost(NamedTuple):
    """Seconds, and the most memory a process of it took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def measured(line: list[str]) -> Cost:
    """One run of a command."""
    begun = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - begun
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def best(costs: list[Cost]) -> Cost:
    """The least of each."""
    return Cost(*(min(column) for column in zip(*costs, strict=True)))


def tiny(folder: Path) -> Path:
    """A pickle of a number."""
    path = folder / "tiny.pkl"
    path.write_bytes(b"\x80\x02K\x01.")
    return path


def torch_zip(folder: Path, size_bytes: int) -> Path:
    """What torch saves of matrices of so many bytes in all."""
    path = folder / "large.pt"
    if not path.exists():
        count = str(max(1, size_bytes // _TENSOR_BYTES))
        # In a process of its own: what this one has in memory would count as its children's.
        subprocess.run([sys.executable, "-c", _SAVE, str(path), count], check=True)
    return path


def sparse_safetensors(folder: Path, size_bytes: int) -> Path:
    """A tensor of zeros that take no room on the disk."""
    path = folder / "sparse.safetensors"
    header = json.dumps(
        {"t": {"dtype": "U8", "shape": [size_bytes], "data_offsets": [0, size_bytes]}}
    )
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header.encode())
        file.truncate(8 + len(header) + size_bytes)
    return path


def opcode_rate(folder: Path) -> float:
    """Opcodes a second of a dict of 200,000 numbers, in this process."""
    path = folder / "opcodes.pkl"
    path.write_bytes(pickle.dumps({f"key {i}": i for i in range(200_000)}, 2))
    with FileSource(path) as source:
        rates = []
        for _ in range(_ROUNDS):
            begun = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            program = read_program(source)
            spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime - begun
            rates.append(program.opcodes / spent)
    return max(rates)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the files are made")
    parser.add_argument("--picklescan", help="picklescan's command, to compare with")
    parser.add_argument("--gb", type=float, default=1.0, help="GB of the checkpoint")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    files = {
        "tiny pickle": tiny(given.folder),
        f"torch zip, {given.gb:g} GB": torch_zip(given.folder, int(given.gb * 1e9)),
        "safetensors, 10 GB, sparse": sparse_safetensors(given.folder, 10**10),
    }
    cairn = str(Path(sys.executable).with_name("cairn"))
    commands = {
        (what, tool): [*line, str(path)]
        for what, path in files.items()
        for tool, line in (("cairn", [cairn, "scan"]), ("picklescan", [given.picklescan, "-p"]))
        if line[0] and (tool == "cairn" or not path.name.endswith(".safetensors"))
    }
    rounds = [{key: measured(line) for key, line in commands.items()} for _ in range(_ROUNDS)]
    print(describe())
    print("| file | tool | wall s | CPU s | peak MiB |\n|---|---|---|---|---|")
    for what, tool in commands:
        cost = best([one[what, tool] for one in rounds])
        print(f"| {what} | {tool} | {cost.wall_s:.2f} | {cost.cpu_s:.2f} | {cost.peak_mib:.0f} |")
    print(f"\n{opcode_rate(given.folder) / 1e6:.2f} million opcodes a second")


if __name__ == "__main__":
    main()
