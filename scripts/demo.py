"""Shows Cairn's main job on a real checkpoint: pushed with the stock client, kept as tensors,
pulled back byte for byte.

Exit status: 0 everything came back as it went in, 1 it did not or took too much space,
2 the demo could not run.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from demo_checkpoints import BASE_REPO, WEIGHTS, FileDigest, Push, digests, minilm_folder, pushes
from demo_hub import DemoError, Hub, StockClient, free_port
from rich.console import Console
from rich.table import Table

# The promise of issue 2 for MiniLM, its bf16 cast and three fine-tunes.
MOST_STORED_PER_LOGICAL = 0.65
# The store, one derived folder, one download and the client's caches at the same time.
NEEDED_FREE_BYTES = 2_000_000_000

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Pushed:
    """A folder that is on the hub now: what it held and what keeping it cost."""

    push: Push
    files: dict[str, FileDigest]
    grown_bytes: int

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files.values())


def main() -> int:
    options = read_options()
    signal.signal(signal.SIGTERM, stop_on_terminate)
    try:
        with tempfile.TemporaryDirectory(prefix="cairn-demo-") as folder:
            return demonstrate(options, Path(folder))
    except (DemoError, OSError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("\nstopped")
        return 130


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/demo", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("--once", action="store_true", help="exit after the check")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder the hub keeps its data in (default: a temporary one, removed at the end)",
    )
    parser.add_argument(
        "--port", type=int, default=8400, help="TCP port, 0 for any free one (default: 8400)"
    )
    return parser.parse_args()


def stop_on_terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def demonstrate(options: argparse.Namespace, work: Path) -> int:
    port = free_port(options.port)
    data = (options.data or work / "hub-data").absolute()
    data.mkdir(parents=True, exist_ok=True)
    for place in (work, data):
        free = shutil.disk_usage(place).free
        if free < NEEDED_FREE_BYTES:
            raise DemoError(f"{place} has {megabytes(free)} free, the demo needs 2,000 MB")
    with Hub(data, port, work) as hub:
        console.print(f"hub started at {hub.url} in {hub.start_seconds:.1f} s, data in {data}\n")
        try:
            good = push_and_pull(hub, work)
        except DemoError:
            console.print(f"the hub's last words:\n{hub.log_tail()}\n", markup=False)
            raise
        if not options.once:
            show_what_next(hub, options.data is None)
            serve_until_interrupted(hub)
        return 0 if good else 1


def serve_until_interrupted(hub: Hub) -> None:
    try:
        while hub.is_running():
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("\nstopped")
        return
    raise DemoError(f"the hub stopped by itself; it said:\n{hub.log_tail()}")


def push_and_pull(hub: Hub, work: Path) -> bool:
    """The main job; whether every digest came back and the store is as small as promised."""
    client = StockClient(hub, work / "hf-home")
    console.print("Pushing with the stock `hf` client:")
    pushed = [push_one(hub, client, push, work) for push in pushes()]
    console.print("\nPulling everything back with the stock `hf` client:")
    different = [one for one in pushed if not pull_one(client, one, work)]
    small = show_sizes(hub, pushed)
    return small and not different


def push_one(hub: Hub, client: StockClient, push: Push, work: Path) -> Pushed:
    folder = work / "checkpoint"
    push.build(folder)
    files = digests(folder)
    before = hub.settled_store()["stored_bytes"]
    began = time.monotonic()
    client.run("repos", "create", push.repo, "--exist-ok")
    if push.revision != "main":
        client.run("repos", "branch", "create", push.repo, push.revision, "--exist-ok")
    client.run(
        "upload", push.repo, folder, ".", "--revision", push.revision,
        "--commit-message", push.message,
    )  # fmt: skip
    seconds = time.monotonic() - began
    shutil.rmtree(folder)
    done = Pushed(push, files, hub.settled_store()["stored_bytes"] - before)
    console.print(
        f"  {push.label}: {megabytes(done.size_bytes)} in {seconds:.1f} s;"
        f" once taken apart, the store grew by {megabytes(done.grown_bytes)}"
    )
    return done


def pull_one(client: StockClient, pushed: Pushed, work: Path) -> bool:
    folder = work / "download"
    began = time.monotonic()
    client.run(
        "download", pushed.push.repo, "--revision", pushed.push.revision, "--local-dir", folder
    )
    seconds = time.monotonic() - began
    found = digests(folder)
    shutil.rmtree(folder)
    wrong = [path for path, file in pushed.files.items() if found.get(path) != file]
    verdict = "SHA-256 of every file as pushed" if not wrong else "DIFFERENT: " + ", ".join(wrong)
    console.print(
        f"  {pushed.push.label}: {len(found)} files in {seconds:.1f} s, {verdict}",
        style="red" if wrong else None,
    )
    return not wrong


def show_sizes(hub: Hub, pushed: list[Pushed]) -> bool:
    table = Table("repo", title="\nWhat it takes to keep them", title_justify="left")
    for heading in ("pushed", "store grew by", "share"):
        table.add_column(heading, justify="right")
    for one in pushed:
        share = f"{one.grown_bytes / one.size_bytes:.2f}"
        sizes = megabytes(one.size_bytes), megabytes(one.grown_bytes)
        table.add_row(one.push.label, *sizes, share)
    state = hub.settled_store()
    logical, stored = state["logical_bytes"], state["stored_bytes"]
    ratio = stored / logical
    table.add_section()
    total = sum(one.size_bytes for one in pushed)
    table.add_row("pushed in all", megabytes(total), megabytes(stored), f"{stored / total:.2f}")
    table.add_row(
        "distinct files in the store", megabytes(logical), megabytes(stored), f"{ratio:.2f}"
    )
    console.print(table)
    good = ratio <= MOST_STORED_PER_LOGICAL
    console.print(
        f"stored / logical = {ratio:.3f}, promised at most {MOST_STORED_PER_LOGICAL}",
        style="green" if good else "red",
    )
    return good


def show_what_next(hub: Hub, temporary: bool) -> None:
    weights = minilm_folder() / WEIGHTS
    python = Path(sys.executable)
    here = Path.cwd()
    command = python.with_name("cairn")
    if command.is_relative_to(here) and weights.is_relative_to(here):
        command, weights = command.relative_to(here), weights.relative_to(here)
    console.print(
        f"""
Look at it:
  {hub.url}/
      every repo
  {hub.url}/{BASE_REPO}
      card, files, history, tensors, sizes

Try next, in another terminal:
  HF_ENDPOINT={hub.url} hf download {BASE_REPO}
  HF_ENDPOINT={hub.url} python -c "from transformers import AutoModel; \
print(AutoModel.from_pretrained('admin/minilm-tuned-a').num_parameters())"
  {command} inspect {weights}

To push, as admin:  export HF_ENDPOINT={hub.url} HF_TOKEN={hub.token}

Serving until Ctrl-C.{" The data goes with it; --data DIR keeps them." if temporary else ""}""",
        markup=False,
    )


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
