"""Names agree with the reference vectors, with the real client, and with a plain reading."""

import json
from pathlib import Path

import hf_xet
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from cairn.errors import MalformedError
from cairn.hub.xet import hashing, shard

# The 18 trees of xet-core (Apache-2.0),
# xet_core_structures/src/merklehash/aggregated_hashes.rs, test_correctness.
VECTORS = json.loads((Path(__file__).parent / "merkle_vectors.json").read_text())


def rooted(chunks: list[tuple[bytes, int]]) -> bytes:
    tree = hashing.Tree()
    for name, size in chunks:
        tree.add(name, size)
    return tree.root()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{len(v['chunks'])} chunks")
def test_roots_are_those_of_the_reference_vectors(vector):
    chunks = [(hashing.from_text(text), size) for text, size in vector["chunks"]]
    assert hashing.to_text(rooted(chunks)) == vector["root"]


def level_by_level(nodes: list[tuple[bytes, int]]) -> bytes:
    """The rule as one would write it down, holding a whole level at a time."""
    while len(nodes) > 1:
        parents, at = [], 0
        while at < len(nodes):
            left = nodes[at:]
            size = min(9, len(left))
            for count in range(3, size + 1):
                if int.from_bytes(left[count - 1][0][24:], "little") % 4 == 0:
                    size = count
                    break
            group = left[:size]
            text = "".join(f"{hashing.to_text(n)} : {s}\n" for n, s in group)
            parents.append((blake3(text.encode(), key=NODE).digest(), sum(s for _, s in group)))
            at += size
        nodes = parents
    return nodes[0][0] if nodes else bytes(32)


NODE = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
# Names that cut groups often, never, and by chance.
endings = st.sampled_from([0, 1, 4, 7, 255])
names = st.tuples(st.binary(min_size=24, max_size=24), endings).map(
    lambda parts: parts[0] + bytes([parts[1]]) + bytes(7)
)


@given(st.lists(st.tuples(names, st.integers(1, 131072)), max_size=200))
def test_a_tree_built_while_chunks_come_has_the_root_of_the_whole(chunks):
    assert rooted(chunks) == level_by_level(chunks)


@given(st.binary(min_size=32, max_size=32))
def test_text_and_bytes_of_a_name_are_the_same_thing(raw):
    assert hashing.from_text(hashing.to_text(raw)) == raw


def test_the_text_of_a_name_prints_little_endian_integers():
    assert hashing.to_text(bytes(range(32)))[:16] == "0706050403020100"


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 63 + "\n"])
def test_other_texts_are_no_names(text):
    with pytest.raises(MalformedError):
        hashing.from_text(text)


@pytest.mark.parametrize("size", [0, 1, 8191, 8192])
def test_files_of_one_chunk_are_named_as_the_client_names_them(tmp_path, size):
    data = bytes(i * 7 % 251 for i in range(size))
    path = tmp_path / "file"
    path.write_bytes(data)
    tree = hashing.Tree()
    if data:
        tree.add(hashing.chunk_name(data), len(data))
    assert hashing.to_text(hashing.file_name(tree)) == hf_xet.hash_files([str(path)])[0].hash


def test_the_clients_own_shards_hash_to_the_names_in_them(tmp_path):
    """Chunk lists written by the client's embedded server, whose names it computed itself."""
    content = bytes(range(256)) * 8000 + b"tail"
    session = hf_xet.XetSession()
    with session.new_upload_commit(endpoint=f"local://{tmp_path}/cas") as commit:
        handle = commit.start_upload_bytes(content, sha256=hf_xet.COMPUTE_SHA256)
    (path,) = (tmp_path / "cas").glob("xet/xorbs/shards/*.mdb")
    parsed = shard.parse(memoryview(path.read_bytes()))
    (xorb,), (file,) = parsed.xorbs, parsed.files
    sizes = xorb.plain_sizes.tolist()
    names = [xorb.names[i * 32 : i * 32 + 32] for i in range(len(sizes))]
    assert rooted(list(zip(names, sizes, strict=True))) == xorb.name
    tree = hashing.Tree()
    for term in file.terms():
        assert hashing.range_name(xorb.names[term.start * 32 : term.stop * 32]) == term.range_name
        for index in range(term.start, term.stop):
            tree.add(names[index], sizes[index])
    assert hashing.to_text(hashing.file_name(tree)) == handle.result().xet_info.hash
    assert file.sha256 is not None
    assert file.sha256.hex == handle.result().xet_info.sha256
