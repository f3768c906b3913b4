"""docs/xet.md tells the limits and endpoints the code has."""

import re
from pathlib import Path

import pytest

from cairn.hub.xet import bodies, known, scopes, shard, state, tokens, verification, xorb
from cairn.hub.xet.routes import UNKNOWN_STEP_S, routes

TEXT = (Path(__file__).parents[3] / "docs/xet.md").read_text()
MIB = 1 << 20


@pytest.mark.parametrize(
    ("told", "constant"),
    [
        ("128 KiB plain", xorb.MAX_CHUNK_BYTES == 128 << 10),
        ("256 KiB stored", xorb.MAX_STORED_CHUNK_BYTES == 256 << 10),
        ("8192 chunks", xorb.MAX_CHUNKS == 8192),
        ("64 MiB and chunk headers", xorb.MAX_XORB_BYTES == 64 * MIB + 8192 * 8),
        ("80 MiB, 400 000 files", (shard.MAX_SHARD_BYTES, shard.MAX_FILES) == (80 * MIB, 400_000)),
        ("1 000 000 + one per 4 KiB", verification.FREE_CHUNKS == 1_000_000),
        ("one per 4 KiB of files", verification.MIN_MEAN_CHUNK_BYTES == 4096),
        ("320 MiB per process", bodies.MEMORY_BYTES == 320 * MIB),
        ("4 per process, others wait", state.SHARDS_AT_ONCE == 4),
        ("| token | 1 hour |", tokens.TOKEN_TTL_S == 3600),
        ("1000 per scope", scopes._MAX_GENERATIONS == 1000),
        ("64 runs of 4 blobs", (known.ANSWERED_RUNS, known.ANSWERED_BLOBS) == (64, 4)),
        ("guess | 16 runs", known.GUESSED_RUNS == 16),
        ("in *runs* of\n1024", known.RUN_CHUNKS == 1024),
        ("one blob | 2000 runs", known.MAX_LISTED_RUNS == 2000),
        ("blobs below 256 KiB", known.MIN_BLOB_BYTES == 256 << 10),
        ("the next full 25 ms", UNKNOWN_STEP_S == 0.025),
    ],
)
def test_limits_are_as_told(told, constant):
    assert told in TEXT
    assert constant


@pytest.mark.parametrize("route", routes, ids=repr)
def test_every_endpoint_is_told(route):
    fixed_parts = re.split(r"\{[^}]*\}", route.template.replace("/cas/{scope}", "{casUrl}"))
    for part in fixed_parts:
        assert part in TEXT
