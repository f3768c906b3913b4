"""What merging costs beside copying the same bytes, and how much memory it holds.

    python -m benchmarks.merging [MEGABYTES]

Models of equal tensors of 16 MB are made in a temporary folder; each merge runs in a process of its
own, next to one that copies the first model, and CPU seconds are compared: other work on the
machine stretches wall time alone. TIES and DARE run next to PEFT's own functions for them too
(`peft.utils.merge_utils`, torch on one thread), weight by weight and written with safetensors.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

ROWS, COLUMNS = 4096, 1024  # 16 MB in float32
RANK = 16
BYTES = 4 * ROWS * COLUMNS


def main(megabytes: int) -> None:
    count = max(2, megabytes * 1_000_000 // BYTES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a child begins with the memory that its parent ever had.
        run([str(count), "--make", name])
        size = count * BYTES
        print(f"{count} tensors of {BYTES / 1e6:.0f} MB, {size / 1e9:.2f} GB a model\n")
        print(
            "| what | written | CPU s | GB/CPU s | CPU of a copy | wall s | memory held |"
            " CPU s of PEFT | its memory |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for words, arguments in TASKS.items():
            shutil.rmtree(folder / "out", ignore_errors=True)
            copied = measured(folder, ["copy"])
            shutil.rmtree(folder / "out", ignore_errors=True)
            merged = measured(folder, arguments)
            written = sum(f.stat().st_size for f in (folder / "out").iterdir())
            theirs = peer(folder, words)
            print(
                f"| {words} | {written / 1e9:.2f} GB | {merged['cpu_s']:.2f} |"
                f" {written / 1e9 / merged['cpu_s']:.2f} |"
                f" {merged['cpu_s'] / copied['cpu_s']:.1f}x | {merged['wall_s']:.1f} |"
                f" {merged['held_bytes'] / 1e6:.0f} MB | {theirs}",
                flush=True,
            )


TASKS = {
    "an adapter of rank 16 into its base": ["merge", "adapter", "base", "lora"],
    "linear, two models": ["merge", "models", "first", "second"],
    "slerp": ["merge", "models", "first", "second", "--method", "slerp"],
    "TIES, two models": [
        "merge",
        "models",
        "first",
        "second",
        "--method",
        "ties",
        "--base",
        "base",
    ],
    "DARE, two models": [
        "merge",
        "models",
        "first",
        "second",
        "--method",
        "dare",
        "--base",
        "base",
    ],
}


def peer(folder: Path, words: str) -> str:
    """Two cells: what PEFT takes for the same, where it has a function for it."""
    method = words.partition(",")[0].lower()
    if method not in ("ties", "dare"):
        return "| |"
    shutil.rmtree(folder / "out", ignore_errors=True)
    taken = measured(folder, ["peft", method])
    return f"{taken['cpu_s']:.2f} | {taken['held_bytes'] / 1e6:.0f} MB |"


def with_peft(folder: Path, method: str) -> None:
    from peft.utils import merge_utils
    from safetensors import safe_open
    from safetensors.torch import save_file as save_tensors

    torch.set_num_threads(1)
    merge = merge_utils.ties if method == "ties" else merge_utils.dare_linear
    models = [
        safe_open(folder / name / "model.safetensors", "pt") for name in ("base", "first", "second")
    ]
    merged = {}
    names = models[0].keys()
    for name in names:
        base, *others = (model.get_tensor(name) for model in models)
        changes = [other - base for other in others]
        merged[name] = base + merge(changes, torch.ones(len(changes)), 0.2)
    (folder / "out").mkdir()
    save_tensors(merged, folder / "out" / "model.safetensors")


def make(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for name in ("base", "first", "second"):
        (folder / name).mkdir()
        state = {
            f"m.{n}.weight": rng.standard_normal((ROWS, COLUMNS), dtype=np.float32)
            for n in range(count)
        }
        save_file(state, folder / name / "model.safetensors")
    (folder / "lora").mkdir()
    pairs = {}
    for n in range(count):
        prefix = f"base_model.model.m.{n}.lora_"
        pairs[f"{prefix}A.weight"] = rng.standard_normal((RANK, COLUMNS), dtype=np.float32)
        pairs[f"{prefix}B.weight"] = rng.standard_normal((ROWS, RANK), dtype=np.float32)
    save_file(pairs, folder / "lora" / "adapter_model.safetensors")
    stated = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK}
    (folder / "lora" / "adapter_config.json").write_text(json.dumps(stated))


def measured(folder: Path, arguments: list[str]) -> dict[str, float]:
    return json.loads(run(["--child", str(folder), *arguments]).splitlines()[-1])


def run(arguments: list[str]) -> str:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.merging", *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def child(folder: Path, arguments: list[str]) -> None:
    # All that the commands import, which is not what is measured.
    from cairn.cli.merge import merge
    from cairn.workflows import (  # noqa: F401
        extract_adapter,
        inspect,
        merge_adapter,
        merge_models,
    )

    if arguments[0] == "peft":
        import peft.utils.merge_utils  # noqa: F401
    places = [str(folder / one) if (folder / one).exists() else one for one in arguments[1:]]
    before = used()
    started = time.perf_counter()
    if arguments == ["copy"]:
        (folder / "out").mkdir()
        shutil.copyfile(folder / "base" / "model.safetensors", folder / "out" / "model.safetensors")
    elif arguments[0] == "peft":
        with_peft(folder, arguments[1])
    else:
        merge.main([*places, "-o", str(folder / "out")], standalone_mode=False)
    after = used()
    told = {
        "wall_s": time.perf_counter() - started,
        "cpu_s": after[0] - before[0],
        "held_bytes": after[1] - before[1],
    }
    print(json.dumps(told))


def used() -> tuple[float, int]:
    """CPU seconds of this process, and the most memory it had."""
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime, 1024 * now.ru_maxrss


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
    elif sys.argv[2:3] == ["--make"]:
        make(Path(sys.argv[3]), int(sys.argv[1]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
