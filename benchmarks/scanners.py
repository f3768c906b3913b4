"""Measures Cairn's scanner beside picklescan, modelscan, fickling and modelaudit on their corpora.

    python -m venv VENV; VENV/bin/pip install picklescan==1.0.5 modelscan==0.8.8 fickling==0.1.12 \
        py7zr dill requests aiohttp pytest typing_extensions torch tensorflow tf_keras
    VENV/bin/python benchmarks/scanner_samples.py modelscan CHECKOUT FOLDER/modelscan
    VENV/bin/python benchmarks/scanner_samples.py fickling CHECKOUT FOLDER/fickling
    python benchmarks/scanners.py --tools VENV/bin --picklescan CHECKOUT --modelscan
        FOLDER/modelscan --fickling FOLDER/fickling --modelaudit CHECKOUT
        [--modelaudit-python VENV/bin/python]

One file, one run of a tool, each file under its own name. `flagged` is what a tool calls dangerous
(Cairn: malicious or suspicious; others: exit code 1), `not clean` adds what it could not read
(Cairn: unread or malformed; others: exit code 2 or a crash). modelscan's exit code 3, nothing
scanned, counts as clean: whoever goes by it loads the file.
"""

import argparse
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cairn.domain import Verdict
from cairn.formats import FileSource
from cairn.scanner import report_of
from cairn.scanner.confined import ScanProcess

sys.path.insert(0, str(Path(__file__).parent))
import scanner_corpora
from machine import describe
from scanner_corpora import Corpus

FLAGGED, NOT_CLEAN, CLEAN = "flagged", "not clean", "clean"
Tool = Callable[[Path], str]

_TIMEOUT_S = 300
_NOTHING_SCANNED = 3
_ARGUMENTS = {
    "picklescan": ("picklescan", "-p"),
    "picklescan --strict": ("picklescan", "--strict", "-p"),
    "modelscan": ("modelscan", "-p"),
    "fickling": ("fickling", "--check-safety"),
}
_SILENT = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "NO_ANALYTICS": "1",
    "CI": "1",
    "HF_HUB_OFFLINE": "1",
}


def cairn(process: ScanProcess) -> Tool:
    """Our own scanner, as `cairn scan` runs it."""

    def judged(path: Path) -> str:
        with FileSource(path) as source:
            report = report_of(path.name, source.size_bytes, process.gather(source))
        if report.verdict in (Verdict.MALICIOUS, Verdict.SUSPICIOUS):
            return FLAGGED
        return CLEAN if report.verdict is Verdict.CLEAN else NOT_CLEAN

    return judged


def command(*line: str) -> Tool:
    """Another tool, by its exit code."""

    def judged(path: Path) -> str:
        try:
            done = subprocess.run(
                [*line, str(path)],
                capture_output=True, timeout=_TIMEOUT_S, check=False, env=os.environ | _SILENT,
                cwd=tempfile.gettempdir(),  # fickling writes its report where it stands
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return NOT_CLEAN
        if done.returncode in (0, _NOTHING_SCANNED):
            return CLEAN
        return FLAGGED if done.returncode == 1 else NOT_CLEAN

    return judged


class Modelaudit:
    """modelaudit by its exit code, asked of one process for one file after the other."""

    def __init__(self, python: Path) -> None:
        self._line = [str(python), str(Path(__file__).with_name("modelaudit_verdicts.py"))]
        self._start()

    def __call__(self, path: Path) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], _TIMEOUT_S)
        answer = self._process.stdout.readline() if ready else ""
        if not answer:
            self._process.kill()
            self._process.wait()
            self._start()
            return NOT_CLEAN
        return {0: CLEAN, 1: FLAGGED}.get(int(answer), NOT_CLEAN)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=os.environ | _SILENT, cwd=tempfile.gettempdir(),
        )  # fmt: skip


def table(corpora: dict[str, Corpus], tools: dict[str, Tool]) -> None:
    """Print a row for each corpus and tool, then which files Cairn misses."""
    print("| corpus | tool | malicious | flagged | not clean | benign | flagged | not clean |")
    print("|---|---|---|---|---|---|---|---|")
    wrong: list[str] = []
    caught: set[Path] = set()
    for name, files in corpora.items():
        for tool, judge in tools.items():
            verdicts = {path: judge(path) for path, _ in files}
            cells = [name, tool]
            for malicious in (True, False):
                found = [verdicts[path] for path, label in files if label is malicious]
                unclean = len(found) - found.count(CLEAN)
                cells += [str(len(found)), str(found.count(FLAGGED)), str(unclean)]
            print("| " + " | ".join(cells) + " |", flush=True)
            if tool == "cairn":
                caught |= {path for path, label in files if label and verdicts[path] != CLEAN}
                wrong += [
                    f"{name}: {path.name} is {verdicts[path]}, labelled"
                    f" {'malicious' if label else 'benign'}"
                    for path, label in files
                    if verdicts[path] == (CLEAN if label else FLAGGED)
                ]
    malicious = [path for files in corpora.values() for path, label in files if label]
    print(f"\nunion: {len(caught)} of {len(malicious)} not clean with cairn")
    print("\n".join(wrong))


def main() -> None:
    """Run every tool that is there on every corpus that is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", type=Path, help="the folder of the other tools' commands")
    parser.add_argument("--modelaudit-python", type=Path, help="the Python that has modelaudit")
    for name in ("picklescan", "modelscan", "fickling", "modelaudit"):
        parser.add_argument(f"--{name}", type=Path, help=f"{name}'s corpus")
    given = parser.parse_args()
    readers = {
        "picklescan": scanner_corpora.picklescan,
        "modelscan": scanner_corpora.made,
        "fickling": scanner_corpora.made,
        "modelaudit": scanner_corpora.modelaudit,
    }
    corpora = {
        name: read(getattr(given, name)) for name, read in readers.items() if getattr(given, name)
    }
    print(describe())
    with ScanProcess() as process:
        tools = {"cairn": cairn(process)}
        if given.tools:
            for name, (program, *options) in _ARGUMENTS.items():
                tools[name] = command(str(given.tools / program), *options)
        if given.modelaudit_python:
            tools["modelaudit"] = Modelaudit(given.modelaudit_python)
        table(corpora, tools)


if __name__ == "__main__":
    main()
