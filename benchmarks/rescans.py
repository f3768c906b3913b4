"""How long it takes to judge what a hub keeps by new rules, from evidence alone.

    python benchmarks/rescans.py [--scans 10000] [--folder DIR]

Evidence is gathered of real forms: the tensors of MiniLM as safetensors and in torch's zip form,
its configuration, tokenizer and card, and a malicious pickle in one of a hundred. Each is kept
under as many digests as it takes, in repos of 20 files, as judged by older rules. Then
one worker judges them, in rounds of 2 s as a hub's worker does. The second figure is one more
process that begins anew when the first was killed half way. No blob is in the store: a file that
were read would be missed.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import checkpoints
import machine
import numpy as np
from sqlalchemy import insert

from cairn.bootstrap import open_house
from cairn.catalog.schema import blob_scans, repo_blobs
from cairn.config import Settings
from cairn.domain import Digest, RepoId, RepoType, Verdict
from cairn.formats import BytesSource
from cairn.scanner import extraction_version, gather
from cairn.scanner.evidence.kinds import encode
from cairn.workflows.house import House
from cairn.workflows.rejudging import Rescans, rescan_progress

STEP_S = 2.0
FILES_A_REPO = 20
MALICIOUS = b"cos\nsystem\n(S'true'\ntR."  # written by hand, never unpickled
AN_IMPORT = b"ctorch._utils\n_rebuild_tensor_v2\n"


def samples() -> Iterator[tuple[str, bytes]]:
    """Names and contents of files as repos have them."""
    folder = checkpoints.minilm().parent
    for name in ("model.safetensors", "config.json", "tokenizer.json", "README.md"):
        for path in sorted(folder.rglob(name))[:1]:
            yield name, path.read_bytes()
    yield "pytorch_model.bin", torch_like(200)
    yield "optimizer.pt", torch_like(600)


def torch_like(tensors: int) -> bytes:
    """A pickle that imports what torch's checkpoints import, once for each tensor."""
    return b"\x80\x02(" + b"".join(AN_IMPORT + b"0" for _ in range(tensors)) + b"t."


def evidence_texts() -> list[tuple[str, bytes]]:
    texts = []
    for name, content in (*samples(), ("bad.pkl", MALICIOUS)):
        found = gather(BytesSource(content, name))
        text = json.dumps([encode(one) for one in found], separators=(",", ":"))
        print(f"  {name}: {len(found):,} pieces of evidence, {len(text):,} bytes")
        texts.append((name, zlib.compress(text.encode())))
    return texts


def fill(house: House, scans: int) -> None:
    """Keep so many scans, judged clean by other rules, in repos with various downloads."""
    texts = evidence_texts()
    random = np.random.default_rng(5)
    house.catalog.accounts.create_user("ada")
    uids = []
    for number in range(-(-scans // FILES_A_REPO)):
        record = house.catalog.repos.create(
            RepoId(RepoType.MODEL, "ada", f"m{number}"), private=False
        )
        house.catalog.repos.count_download(record.id, int(random.pareto(1) * 100) + 1)
        uids.append(record.uid)
    house.catalog.repos.flush_downloads()
    rows, owned = [], []
    for number in range(scans):
        name, text = texts[-1] if number % 100 == 0 else texts[number % (len(texts) - 1)]
        digest = Digest.sha256(hashlib.sha256(str(number).encode()).hexdigest())
        owned.append({"repo": uids[number // FILES_A_REPO], "digest": digest.raw, "size_bytes": 1})
        rows.append(
            {
                "digest": digest.raw,
                "name": name,
                "extraction": extraction_version(),
                "rules": "older",
                "verdict": Verdict.CLEAN.value,
                "evidence": text,
                "judged_at": datetime.now(UTC),
            }
        )
    with house.catalog.database.write() as connection:
        connection.execute(insert(repo_blobs), owned)
        connection.execute(insert(blob_scans), rows)


def judge_all(house: House, until: int | None = None) -> tuple[float, int]:
    """Seconds and changed verdicts of one worker, until so many are judged or none is left."""
    rescans = Rescans(house)
    began, changed = time.perf_counter(), 0
    while rescans.take_turn():
        changed += sum(1 for _ in rescans.judge(STEP_S))
        progress = rescan_progress(house)
        if until is not None and progress and progress.done >= until:
            break
    rescans.end_turn()
    return time.perf_counter() - began, changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=10_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print(machine.describe())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        house = open_house(Settings(data_dir=Path(folder) / "data"))
        fill(house, options.scans)
        cpu_s = time.process_time()
        first_s, first = judge_all(house, options.scans // 2)
        second_s, second = judge_all(house)
        cpu_s = time.process_time() - cpu_s
        progress = rescan_progress(house)
        assert progress is not None and progress.done == progress.total == options.scans
        assert first + second == -(-options.scans // 100), (first, second)
        total_s = first_s + second_s
        print(
            f"{options.scans:,} scans judged in {total_s:.1f} s ({cpu_s:.1f} s of one core),"
            f" {options.scans / total_s:,.0f} a second; {first + second:,} verdicts changed;"
            f" the first half took {first_s:.1f} s"
        )
        house.catalog.close()


if __name__ == "__main__":
    main()
