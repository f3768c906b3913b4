"""Measures what scans cost: start-up, large files, many files, hostile ones, and single rates.

    python benchmarks/scan.py --folder DIR [--picklescan COMMAND] [--gb 1]

Each command is a process of its own, all rounds interleaved, the best round counts. Processor time
is that of the command and all its children; on a busy machine it says more than the clock does.
Both tools run from compiled modules, as pip installs them.

Against picklescan three things are compared: the whole command on one checkpoint; its start, which
is what it takes on a pickle of a number; and the work, which is what each further link to the same
checkpoint takes in a folder, whoever scans it: the two commands, and picklescan as a library.
"""

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

from cairn.formats import FileSource
from cairn.formats.pickle_program import read_program
from cairn.scanner.pickle_search import SearchBudget, find_pickles
from cairn.workflows.scan import digest_of

sys.path.insert(0, str(Path(__file__).parent))
from machine import describe

_ROUNDS = 5
_LINKS = 40
_LIBRARY = (
    "import sys; from pathlib import Path; from picklescan.scanner import scan_file_path\n"
    "for path in sorted(Path(sys.argv[1]).rglob('*.p[kt]*')): scan_file_path(str(path))\n"
)
_CHECKPOINTS = 200
_HOSTILE_BYTES = 10**6
_TENSOR_BYTES = 64 << 20
_TIMER = (
    *(sys.executable, "-I", "-S", "-c"),
    "import os, resource, sys, time\n"
    "begun = time.perf_counter()\n"
    "nowhere = os.open(os.devnull, os.O_WRONLY)\n"
    "quiet = [(os.POSIX_SPAWN_DUP2, nowhere, 1), (os.POSIX_SPAWN_DUP2, nowhere, 2)]\n"
    "os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)\n"
    "wall_s = time.perf_counter() - begun\n"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    "print([wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024])\n",
)
_SAVE_SMALL = (
    "import sys, torch\n"
    "for n in range(int(sys.argv[2])):\n"
    "    state = {f'h.{i}.weight': torch.rand(8, 8) for i in range(120)}\n"
    "    torch.save(state, f'{sys.argv[1]}/{n:03}.pt')\n"
)
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


def measured(line: list[str], bytecode: Path) -> Cost:
    """One run of a command, as a small process sees it: a child begins with its parent's memory.

    Compiled modules are kept in a folder of their own, whether or not there is such a one.
    """
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    told = subprocess.run([*_TIMER, *line], stdout=subprocess.PIPE, check=True, env=env).stdout
    return Cost(*json.loads(told))


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


def links(folder: Path, checkpoint: Path) -> Path:
    """A folder of links to one checkpoint, which takes no room."""
    path = folder / "links"
    path.mkdir(exist_ok=True)
    for number in range(_LINKS):
        link = path / f"{number:02}.pt"
        if not link.exists():
            os.link(checkpoint, link)
    return path


def many_checkpoints(folder: Path) -> Path:
    """A folder of checkpoints of 120 tensors each."""
    path = folder / "many"
    if not path.exists():
        path.mkdir()
        line = [sys.executable, "-c", _SAVE_SMALL, str(path), str(_CHECKPOINTS)]
        subprocess.run(line, check=True)
    return path


def plain_pickle(folder: Path) -> Path:
    """A pickle of 1.2 million opcodes without tensors."""
    path = folder / "plain.pkl"
    path.write_bytes(pickle.dumps({f"key {i}": (i, float(i), [i, i + 1]) for i in range(100_000)}))
    return path


def hostile(folder: Path) -> dict[str, Path]:
    """Files of a megabyte that were made to cost more than others."""
    place = b"cA\nB\n"
    values = b"".join(b"B" + (65_000).to_bytes(4, "little") + place * 13_000 for _ in range(15))
    contents = {
        "names that nothing calls.pkl": b"\x80\x03(" + values + b"t.",
        "letters V.pkl": b"\x80\x02N.\x01" + b"V" * _HOSTILE_BYTES,
        "different imports.pkl": b"\x80\x02%sN."
        % b"".join(b"cm%x\nb\n0" % n for n in range(_HOSTILE_BYTES // 12)),
        "expressions.jinja": b"{{a}}" * (_HOSTILE_BYTES // 10),
        "templates.json": json.dumps({f"template {n}": "{{a.b}}" * 250 for n in range(500)}),
    }
    packed = folder / "pickles.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for n in range(_HOSTILE_BYTES // 140):
            archive.writestr(f"{n:x}.pkl", b"cA\nB\n)R.")
    paths = {packed.name: packed}
    for name, content in contents.items():
        paths[name] = folder / name
        paths[name].write_bytes(content.encode() if isinstance(content, str) else content)
    return paths


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


def hashing_rate(path: Path) -> float:
    """Bytes that are hashed a second, of a file that is cached."""
    with FileSource(path) as source:
        begun = time.process_time()
        digest_of(source)
        return source.size_bytes / (time.process_time() - begun)


def search_rate() -> float:
    """Bytes of noise that are searched for pickles a second."""
    noise = os.urandom(4 << 20)
    begun = time.process_time()
    assert not list(find_pickles(noise, SearchBudget()))
    return len(noise) / (time.process_time() - begun)


def ratios(costs: dict[tuple[str, str], Cost], large: str) -> None:
    """Print by how much Cairn is faster than picklescan, or slower."""
    print("\n| of processor time | cairn, ms | picklescan, ms | picklescan / cairn |")
    print("|---|---|---|---|")

    def work(tool: str) -> float:
        """Of one more link, its start taken off."""
        return (costs["links", tool].cpu_s - costs["tiny pickle", tool].cpu_s) / _LINKS

    ours = costs[large, "cairn"].cpu_s
    rows = {
        "whole command": (ours, costs[large, "picklescan"].cpu_s),
        "its start": (
            costs["tiny pickle", "cairn"].cpu_s,
            costs["tiny pickle", "picklescan"].cpu_s,
        ),
        "its work": (work("cairn"), work("picklescan")),
        "its work, picklescan as a library": (work("cairn"), work("library")),
    }
    for what, (own, other) in rows.items():
        print(f"| {what} | {1000 * own:.1f} | {1000 * other:.1f} | {other / own:.2f} |")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the files are made")
    parser.add_argument("--picklescan", help="picklescan's command, to compare with")
    parser.add_argument("--gb", type=float, default=1.0, help="GB of the checkpoint")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    hostile_files = hostile(given.folder)
    files = {
        "tiny pickle": tiny(given.folder),
        (large := f"torch zip, {given.gb:g} GB"): torch_zip(given.folder, int(given.gb * 1e9)),
        "safetensors, 10 GB, sparse": sparse_safetensors(given.folder, 10**10),
        f"{_CHECKPOINTS} torch zips": many_checkpoints(given.folder),
        "pickle of 1.2 M opcodes": plain_pickle(given.folder),
        **hostile_files,
    }
    files["links"] = links(given.folder, files[large])
    cairn = str(Path(sys.executable).with_name("cairn"))
    others = {path.name for path in (files["safetensors, 10 GB, sparse"], *hostile_files.values())}
    commands = {
        (what, tool): [*line, str(path)]
        for what, path in files.items()
        for tool, line in (("cairn", [cairn, "scan"]), ("picklescan", [given.picklescan, "-p"]))
        if line[0] and (tool == "cairn" or path.name not in others)
    }
    if given.picklescan:
        python = str(Path(given.picklescan).with_name("python"))
        for what in ("tiny pickle", "links"):
            place = files[what] if files[what].is_dir() else given.folder / "one"
            commands[what, "library"] = [python, "-c", _LIBRARY, str(place)]
        (given.folder / "one").mkdir(exist_ok=True)
        tiny(given.folder / "one")
    bytecode = given.folder / "bytecode"
    bare = [sys.executable, "-I", "-c", "pass"]
    commands["nothing", "python"] = bare
    for line in commands.values():
        measured(line, bytecode)  # compiles
    rounds = [
        {key: measured(line, bytecode) for key, line in commands.items()} for _ in range(_ROUNDS)
    ]
    print(describe())
    print("| file | tool | wall s | CPU s | peak MiB |\n|---|---|---|---|---|")
    costs = {key: best([one[key] for one in rounds]) for key in commands}
    for (what, tool), cost in costs.items():
        print(f"| {what} | {tool} | {cost.wall_s:.2f} | {cost.cpu_s:.2f} | {cost.peak_mib:.0f} |")
    if given.picklescan:
        ratios(costs, large)
    print(f"\n{opcode_rate(given.folder) / 1e6:.2f} million opcodes a second")
    print(f"{hashing_rate(files[f'torch zip, {given.gb:g} GB']) / 1e6:.0f} MB/s hashed")
    print(f"{search_rate() / 1e6:.0f} MB/s searched for pickles")


if __name__ == "__main__":
    main()
