"""Scans one model in every form that frameworks write, and what they save of the model families.

    python benchmarks/benign.py --model FOLDER

FOLDER is a BERT as published, such as all-MiniLM-L6-v2's with its tokenizer and card. Each line
says how many files a form has and how many are not clean; every verdict that is not clean follows,
with its reason. Malicious and suspicious ones are false alarms.
"""

import argparse
import contextlib
import copy
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
import torch
import transformers
from benign_forms import FORMS, Model
from machine import describe

from cairn.domain import FileReport, Verdict
from cairn.formats import FileSource
from cairn.scanner import report_of
from cairn.scanner.confined import ScanProcess
from scripts.format_checkpoints import MAKERS

FALSE_ALARMS = (Verdict.MALICIOUS, Verdict.SUSPICIOUS)
# A pickled module of classes that only another library has: suspicious whoever saved it.
_OF_UNKNOWN_CLASSES = "YOLO in the form of Ultralytics"


def writers(model: Model) -> dict[str, Callable[[Path], object]]:
    """What to write, by label; each writer has a model of its own to train."""

    def of_form(write: Callable[[Model, Path], object]) -> Callable[[Path], object]:
        return lambda folder: write(Model(copy.deepcopy(model.net), model.folder), folder)

    families = {name: make for name, make in MAKERS.items() if name != _OF_UNKNOWN_CLASSES}
    return {**{name: of_form(write) for name, write in FORMS.items()}, **families}


def reports(folder: Path, process: ScanProcess) -> Iterator[FileReport]:
    """A report on each file below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with FileSource(path) as source:
                name = path.relative_to(folder).as_posix()
                yield report_of(name, source.size_bytes, process.gather(source))


def main() -> None:
    """Write, scan, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="the folder of a BERT")
    given = parser.parse_args()
    model = Model(transformers.BertModel.from_pretrained(given.model).eval(), given.model)
    print(describe())
    total = alarms = unclean = 0
    with ScanProcess() as process:
        for label, write in writers(model).items():
            with tempfile.TemporaryDirectory() as folder:
                with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
                    write(Path(folder))
                found = list(reports(Path(folder), process))
            bad = [one for one in found if one.verdict is not Verdict.CLEAN]
            print(f"{label}: {len(found)} files, {len(bad)} not clean", flush=True)
            for one in bad:
                print(f"    {one.path} is {one.verdict.name}: {one.findings[0].message[:200]}")
            total, unclean = total + len(found), unclean + len(bad)
            alarms += sum(one.verdict in FALSE_ALARMS for one in bad)
    print(
        f"{total} files: {alarms} malicious or suspicious, {unclean - alarms} unread or malformed"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
