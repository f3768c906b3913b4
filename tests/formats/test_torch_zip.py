"""torch zip checkpoints: names, shapes and the very bytes that torch would load."""

import random
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cairn.domain import DType, Role
from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats import BytesSource, limits, read_layout
from cairn.testing.readers import CountingSource
from tests.formats.making import (
    TORCH_DTYPES,
    Made,
    Name,
    Persistent,
    archive,
    bytes_of,
    elements_at,
    layout_of,
    pickled,
    rebuilt,
    saved,
    tensor_of,
)


def by_name(layout):
    return {tensor.name: tensor for tensor in layout.tensors}


def test_state_dicts_have_the_bytes_torch_wrote() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Linear(4, 2)))
    state = model.state_dict()
    data = saved(state)
    found = by_name(layout_of(data))
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert found[name].shape == tuple(tensor.shape)
        assert elements_at(data, found[name]) == bytes_of(tensor)
    buffers = {name for name, _ in model.named_buffers()}
    assert {name for name in found if found[name].role is Role.BUFFERS} == buffers


@pytest.mark.parametrize("label", sorted(TORCH_DTYPES))
def test_every_dtype_has_the_bytes_torch_wrote(label: str) -> None:
    tensors = {
        "matrix": tensor_of(TORCH_DTYPES[label], (3, 4), 1),
        "scalar": tensor_of(TORCH_DTYPES[label], (), 2),
        "empty": tensor_of(TORCH_DTYPES[label], (0, 5), 3),
        "turned": tensor_of(TORCH_DTYPES[label], (4, 3), 4).t(),
    }
    data = saved(tensors)
    layout = layout_of(data)
    for name, found in by_name(layout).items():
        assert found.dtype is DType[label]
        assert found.shape == tuple(tensors[name].shape)
        assert elements_at(data, found) == bytes_of(tensors[name])


@pytest.mark.parametrize(
    ("dtype", "label"),
    [(torch.qint8, "QI8"), (torch.quint8, "QU8"), (torch.qint32, "QI32")],
)
@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors_have_their_integers_and_scales(dtype, label) -> None:
    tensor = torch.quantize_per_tensor(torch.randn(3, 4), 0.125, 3, dtype)
    data = saved({"q": tensor})
    layout = layout_of(data)
    found = by_name(layout)["q"]
    assert found.dtype is DType[label]
    assert elements_at(data, found) == bytes_of(tensor.int_repr())
    assert layout.metadata["q.scale"] == 0.125
    assert layout.metadata["q.zero_point"] == 3


@pytest.mark.filterwarnings("ignore")
def test_quantisation_per_channel_lists_its_scales() -> None:
    scales = torch.tensor([0.1, 0.2, 0.3])
    tensor = torch.quantize_per_channel(torch.randn(3, 4), scales, torch.zeros(3), 0, torch.qint8)
    data = saved({"q": tensor})
    found = by_name(layout_of(data))
    assert elements_at(data, found["q"]) == bytes_of(tensor.int_repr())
    assert elements_at(data, found["q.scale"]) == bytes_of(tensor.q_per_channel_scales())
    assert layout_of(data).metadata["q.axis"] == 0


@pytest.mark.filterwarnings("ignore")
def test_four_bit_quantisation_is_packed() -> None:
    scales = torch.tensor([0.1, 0.2, 0.3])
    tensor = torch.quantize_per_channel(
        torch.randn(3, 4), scales, torch.zeros(3), 0, torch.quint4x2
    )
    found = by_name(layout_of(saved({"q": tensor})))["q"]
    assert (found.dtype, found.shape, found.span.size_bytes) == (DType.QU4X2, (3, 4), 6)


def test_four_bit_floats_are_counted_one_by_one() -> None:
    packed = torch.arange(6, dtype=torch.uint8).reshape(3, 2).view(torch.float4_e2m1fn_x2)
    data = saved({"w": packed})
    found = by_name(layout_of(data))["w"]
    assert (found.dtype, found.shape) == (DType.F4, (3, 4))
    assert elements_at(data, found) == bytes(range(6))


@pytest.mark.filterwarnings("ignore")
def test_sparse_tensors_are_listed_by_their_parts() -> None:
    dense = torch.diag(torch.arange(1.0, 5))
    data = saved({"coo": dense.to_sparse().coalesce(), "csr": dense.to_sparse_csr()})
    layout = layout_of(data)
    found = by_name(layout)
    coo, csr = dense.to_sparse().coalesce(), dense.to_sparse_csr()
    assert elements_at(data, found["coo.indices"]) == bytes_of(coo.indices())
    assert elements_at(data, found["coo.values"]) == bytes_of(coo.values())
    assert elements_at(data, found["csr.crow_indices"]) == bytes_of(csr.crow_indices())
    assert elements_at(data, found["csr.col_indices"]) == bytes_of(csr.col_indices())
    assert elements_at(data, found["csr.values"]) == bytes_of(csr.values())
    assert layout.metadata["coo.shape"] == "[4, 4]"


def test_views_share_one_storage() -> None:
    base = torch.arange(60.0).reshape(3, 4, 5)
    views = {
        "whole": base,
        "turned": base.transpose(0, 2),
        "stepped": base[:, ::2, 1:4:2],
        "tail": base[2],
        "column": base[:, 1, 2],
        "spread": base[0, 0, :1].expand(7, 1),
    }
    data = saved(views)
    layout = layout_of(data)
    assert len(layout.storages) == 1
    for name, found in by_name(layout).items():
        assert elements_at(data, found) == bytes_of(views[name]), name
    assert by_name(layout)["tail"].strides is None
    assert by_name(layout)["turned"].strides == (1, 5, 20)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.data(),
)
def test_any_view_is_where_torch_says(shape, draw) -> None:
    view = tensor_of(torch.int16, tuple(shape))
    for _ in range(draw.draw(st.integers(0, 3))):
        axis = draw.draw(st.integers(0, view.dim() - 1))
        match draw.draw(st.sampled_from(["turn", "narrow", "step"])):
            case "turn":
                view = view.transpose(axis, draw.draw(st.integers(0, view.dim() - 1)))
            case "narrow":
                start = draw.draw(st.integers(0, view.shape[axis]))
                view = view.narrow(axis, start, view.shape[axis] - start)
            case _:
                view = view.as_strided(
                    tuple((n + 1) // 2 for n in view.shape),
                    tuple(2 * s for s in view.stride()),
                    view.storage_offset(),
                )
    data = saved([view])
    (found,) = layout_of(data).tensors
    assert found.shape == tuple(view.shape)
    assert elements_at(data, found) == bytes_of(view)


def test_a_training_checkpoint_has_roles_and_metadata() -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.25)
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    data = saved(
        {
            "epoch": 3,
            "global_step": 1200,
            "loss": np.float64(0.5),
            "done": False,
            "state_dict": model.state_dict(),
            "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [schedule.state_dict()],
            "hyper_parameters": {"lr": 0.25, "dims": [1, 2], "note": None},
            "cuda_rng_state": torch.get_rng_state(),
            "rng": {"torch": torch.get_rng_state(), "python": random.getstate()},
            "numpy_rng_state": np.random.get_state(),
        }
    )
    layout = layout_of(data)
    roles = {tensor.name: tensor.role for tensor in layout.tensors}
    assert roles["state_dict.weight"] is Role.WEIGHTS
    assert roles["optimizer_states.0.state.0.exp_avg"] is Role.OPTIMIZER
    assert roles["optimizer_states.0.state.1.step"] is Role.OPTIMIZER
    assert roles["cuda_rng_state"] is Role.RNG
    assert roles["rng.torch"] is Role.RNG
    metadata = layout.metadata
    assert metadata["epoch"] == 3
    assert metadata["global_step"] == 1200
    assert metadata["loss"] == 0.5
    assert metadata["done"] is False
    assert metadata["hyper_parameters.lr"] == 0.25
    assert metadata["hyper_parameters.dims.1"] == 2
    assert metadata["hyper_parameters.note"] is None
    assert metadata["optimizer_states.0.param_groups.0.betas.0"] == 0.9
    assert metadata["lr_schedulers.0.last_epoch"] == 0
    assert metadata["rng.python.1"] == "[625 values]"
    assert roles["numpy_rng_state.1"] is Role.RNG
    assert layout.notes == ()


def test_bare_optimizer_and_rng_files_know_their_role() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    layout = layout_of(saved(optimizer.state_dict()), "optimizer.pt")
    assert {tensor.role for tensor in layout.tensors} == {Role.OPTIMIZER}
    state = {"python": random.getstate(), "numpy": None, "cpu": torch.get_rng_state()}
    layout = layout_of(saved(state), "x.pth")
    assert {tensor.role for tensor in layout.tensors} == {Role.RNG}
    assert layout_of(saved([torch.ones(2)]), "out/rng_state_0.pth").tensors[0].role is Role.RNG


def test_a_part_of_the_model_may_be_called_scheduler() -> None:
    layout = layout_of(saved({"model": {"scheduler": {"betas": torch.ones(2)}}}))
    assert layout.tensors[0].role is Role.WEIGHTS


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.scale = nn.Parameter(torch.ones(1))


def test_a_pickled_module_has_the_names_of_its_state_dict() -> None:
    tower = Tower()
    data = saved(tower)
    layout = layout_of(data)
    state = tower.state_dict()
    assert by_name(layout).keys() == state.keys()
    for name, found in by_name(layout).items():
        assert elements_at(data, found) == bytes_of(state[name])
    assert any("Tower" in note for note in layout.notes)


def test_containers_of_all_kinds_are_walked() -> None:
    value = OrderedDict(a=[torch.ones(1), (torch.ones(2), {"b": torch.ones(3)})])
    value["d"] = defaultdict(list, {"e": [torch.ones(4)]})
    value["p"] = nn.Parameter(torch.ones(5))
    value[7] = torch.ones(6)
    value[(1, 2)] = torch.ones(7)
    names = {tensor.name: tensor.shape[0] for tensor in layout_of(saved(value)).tensors}
    assert names == {"a.0": 1, "a.1.0": 2, "a.1.1.b": 3, "d.e.0": 4, "p": 5, "7": 6, "key4": 7}


def test_a_lone_tensor_has_a_name() -> None:
    assert [t.name for t in layout_of(saved(torch.ones(2))).tensors] == ["tensor"]


def test_one_tensor_under_two_names_is_listed_twice() -> None:
    tied = torch.ones(3)
    layout = layout_of(saved({"embed": tied, "head": tied}))
    assert [t.name for t in layout.tensors] == ["embed", "head"]
    assert len(layout.storages) == 1


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_torch_may_write_is_read(protocol: int) -> None:
    data = saved({"w": torch.ones(2), "n": 1}, pickle_protocol=protocol)
    layout = layout_of(data)
    assert elements_at(data, by_name(layout)["w"]) == bytes_of(torch.ones(2))
    assert layout.metadata["n"] == 1


def test_checksums_left_out_by_torch_are_noted_only() -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        data = saved({"w": torch.ones(2)})
    finally:
        torch.serialization.set_crc32_options(before)
    layout = layout_of(data)
    assert elements_at(data, layout.tensors[0]) == bytes_of(torch.ones(2))
    assert any("CRC-32" in note for note in layout.notes)


def test_only_headers_are_read_of_large_storages() -> None:
    source = CountingSource(BytesSource(saved({"a": torch.zeros(500_000), "b": torch.ones(9)})))
    layout = read_layout(source)
    assert len(layout.tensors) == 2
    assert source.bytes_read < 20_000


def test_big_endian_is_refused_with_advice() -> None:
    with pytest.raises(MalformedError, match="little-endian"):
        layout_of(archive(pickled([]), byteorder=b"big"))


F32X4 = {"0": bytes(16)}


def refused(value, storages=F32X4, match="") -> None:
    with pytest.raises(MalformedError, match=match):
        layout_of(archive(pickled(value), storages))


def test_hand_made_pickles_are_understood() -> None:
    """The helpers of the tests below make what torch makes."""
    layout = layout_of(archive(pickled({"w": rebuilt(Persistent("0", 4))}), F32X4))
    assert layout.tensors[0].shape == (2,)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (rebuilt(Persistent("0", 4), 3, (2,), (1,)), "reaches to byte 20"),
        (rebuilt(Persistent("0", 4), 0, (2, 3), (3, 1)), "reaches"),
        (rebuilt(Persistent("0", 4), 0, (2,), (2**40,)), "reaches"),
        (rebuilt(Persistent("0", 4), 2**62, (2,), (1,)), "reaches"),
        (rebuilt(Persistent("0", 4), -1, (2,), (1,)), "offset"),
        (rebuilt(Persistent("0", 4), 0, (-2,), (1,)), "integers"),
        (rebuilt(Persistent("0", 4), 0, (2,), (-1,)), "integers"),
        (rebuilt(Persistent("0", 4), True, (2,), (1,)), "offset"),
        (rebuilt(Persistent("0", 4), 0, (2.0,), (1,)), "integers"),
        (rebuilt(Persistent("0", 4), 0, (2**70,), (0,)), "integers"),
        (rebuilt(Persistent("0", 4), 0, (2**40, 2**40), (0, 0)), "elements"),
        (rebuilt(Persistent("0", 4), 0, (2, 2), (1,)), "differ in length"),
        (rebuilt(Persistent("0", 4), 0, (1,) * 65, (1,) * 65), "at most 64"),
        (rebuilt(Persistent("0", 4), 0, "ab", "ab"), "integers"),
        (rebuilt(Persistent("0", 5)), "declared with 20 bytes"),
        (rebuilt(Persistent("0", -1)), "size"),
        (rebuilt(Persistent("1", 4)), "not in the file"),
        (rebuilt(Persistent("../data.pkl", 4)), "not in the file"),
        (rebuilt(Persistent("0", 4, "NoStorage")), "not a torch storage"),
        (rebuilt(Name("torch", "FloatStorage")), "without a torch storage"),
        (rebuilt(7), "without a torch storage"),
        (Made(Name("torch._utils", "_rebuild_tensor_v2"), 1), "arguments"),
        (Made(Name("torch._utils", "_rebuild_tensor_v9"), 1), "arguments"),
        (Made(Name("torch._utils", "_rebuild_sparse_tensor"), 1, (2, 3)), "parts"),
    ],
)
def test_an_impossible_tensor_is_refused(call, why) -> None:
    refused({"w": call}, match=why)


def test_a_storage_class_of_another_module_is_refused() -> None:
    storage = Persistent("0", 4)
    storage.id = ("storage", Name("evil", "FloatStorage"), "0", "cpu", 4)
    refused([rebuilt(storage)], match="not a torch storage")


def test_wrappers_around_a_tensor_are_bounded() -> None:
    call = rebuilt(Persistent("0", 4))
    for _ in range(40):
        call = Made(Name("torch._utils", "_rebuild_parameter"), call, True, {})
    refused([call], match="wrapped")


def test_sparse_tensors_of_sparse_tensors_are_refused() -> None:
    inner = Made(Name("torch._utils", "_rebuild_sparse_tensor"), 1, (1, 2, (2, 2)))
    for _ in range(3):
        inner = Made(Name("torch._utils", "_rebuild_sparse_tensor"), 1, (inner, inner, (2, 2)))
    refused([inner], match="plain tensor|parts")


def test_tensors_without_bytes_are_noted() -> None:
    layout = layout_of(saved({"m": torch.empty(3, device="meta"), "w": torch.ones(1)}))
    assert [tensor.name for tensor in layout.tensors] == ["w"]
    assert any("meta device" in note for note in layout.notes)


def test_storages_nobody_refers_to_are_noted() -> None:
    layout = layout_of(archive(pickled({}), {"0": b"hidden payload"}))
    assert any("belong to no tensor" in note for note in layout.notes)


def test_deep_nesting_ends_in_a_limit() -> None:
    program = b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b"."
    with pytest.raises(LimitError, match="nested deeper"):
        layout_of(archive(program))


def test_a_list_that_holds_itself_is_walked_once() -> None:
    loop: list = []
    loop.append(loop)
    loop.append({"x": loop, "n": 1})
    assert layout_of(archive(pickled(loop))).metadata == {"1.n": 1}


def test_an_exponential_tree_of_shared_lists_is_walked_once() -> None:
    layout = layout_of(archive(_shared(60), F32X4))
    assert len(layout.tensors) == 0
    assert any("listed once" in note for note in layout.notes)


def _shared(depth: int) -> bytes:
    """A list of a list ... each holding the one below twice: 2**depth paths."""
    program = b"\x80\x02]q\x00"
    for level in range(depth):
        program += (
            b"]q" + bytes([level + 1]) + b"(h" + bytes([level]) + b"h" + bytes([level]) + b"e"
        )
    return program + b"."


def test_long_prefixes_do_not_multiply() -> None:
    """One key of 4,000 characters over 20,000 tensors would make 80 MB of names."""
    key, count = "k" * 4000, 20_000
    inner = b"(" + b"".join(b"M" + i.to_bytes(2, "little") + b"h\x05" for i in range(count)) + b"d"
    tensor = pickled(rebuilt(Persistent("0", 4)))[2:-1]
    text = b"X" + len(key).to_bytes(4, "little") + key.encode()
    program = b"\x80\x02" + tensor + b"q\x050(" + text + inner + b"d."
    with pytest.raises(LimitError, match="characters"):
        layout_of(archive(program, F32X4))


def test_a_name_beyond_the_cap_is_refused() -> None:
    with pytest.raises(LimitError, match="dotted name"):
        layout_of(archive(pickled({"k" * 5000: [[]]})))


def test_metadata_is_bounded_in_number_and_length() -> None:
    value = {f"k{i}": i for i in range(5000)} | {"long": "x" * 100_000, "blob": b"y" * 100_000}
    layout = layout_of(archive(pickled({"first": value})))
    assert len(layout.metadata) == limits.MAX_METADATA_ITEMS
    assert any("values" in note for note in layout.notes)
    layout = layout_of(archive(pickled({"long": "x" * 60_000, "blob": b"y", "big": 10**4000})))
    assert len(layout.metadata["long"]) == limits.MAX_METADATA_VALUE_CHARS
    assert len(layout.metadata["big"]) < 200


def test_names_that_collide_are_told_apart() -> None:
    value = {"a": {"b": rebuilt(Persistent("0", 4))}, "a.b": rebuilt(Persistent("0", 4))}
    layout = layout_of(archive(pickled(value), F32X4))
    assert [tensor.name for tensor in layout.tensors] == ["a.b", "a.b#2"]


def test_a_key_set_twice_counts_once_with_its_last_value() -> None:
    program = b"\x80\x02}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00aK\x02u."
    layout = layout_of(archive(program))
    assert layout.metadata == {"a": 2}
    assert any("more than once" in note for note in layout.notes)


def test_broken_unicode_in_names_is_made_showable() -> None:
    value = {"a\ud800": rebuilt(Persistent("0", 4)), "n\udfff": "v\ud800"}
    layout = layout_of(archive(pickled(value), F32X4))
    for text in (layout.tensors[0].name, *layout.metadata, *layout.metadata.values()):
        text.encode()


def test_bytes_after_the_pickle_are_noted() -> None:
    layout = layout_of(archive(pickled([1]) + b"cos\nsystem\n"))
    assert any("follow the end" in note for note in layout.notes)


def test_a_broken_pickle_names_its_member() -> None:
    with pytest.raises(MalformedError, match=r"archive/data\.pkl at byte"):
        layout_of(archive(b"\x80\x02K"))


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary()
parts = st.builds(
    rebuilt,
    st.builds(
        Persistent,
        st.sampled_from(["0", "1", "x"]),
        st.integers(-1, 5),
        st.sampled_from(["FloatStorage", "BoolStorage", "UntypedStorage", "QUInt4x2Storage"]),
    ),
    st.integers(-1, 4) | leaves,
    st.lists(st.integers(-1, 3), max_size=3).map(tuple) | leaves,
    st.lists(st.integers(-1, 3), max_size=3).map(tuple) | leaves,
)
calls = st.builds(
    Made,
    st.builds(
        Name,
        st.sampled_from(["torch._utils", "torch", "collections", "numpy.core.multiarray"]),
        st.sampled_from(
            [
                "_rebuild_parameter",
                "_rebuild_qtensor",
                "_rebuild_sparse_tensor",
                "OrderedDict",
                "Size",
                "device",
                "scalar",
                "_reconstruct",
                "_rebuild_tensor_v3",
            ]
        ),
    ),
    leaves | parts,
    leaves | parts,
    state=leaves,
)
trees = st.recursive(
    leaves | parts | calls,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.builds(Made, st.just(Name("m", "C")), inner, state=inner)
    ),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(trees, st.sampled_from([2, 4]))
def test_any_tree_of_calls_is_laid_out_or_refused(tree, protocol) -> None:
    try:
        layout = layout_of(archive(pickled(tree, protocol), {"0": bytes(16), "1": b""}))
    except UntrustedDataError:
        return
    assert len({tensor.name for tensor in layout.tensors}) == len(layout.tensors)
