"""DeepSpeed ZeRO: masters and moments of every parameter, from the flat vectors of all ranks.

The files are written with torch in the structures that DeepSpeed 0.19.8 writes (compared with real
ones of stages 1, 2 and 3); `tests/frameworks` repeats it with DeepSpeed itself where that installs.
"""

import enum
import io
import math
import sys
import types
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from cairn.domain import Assembly, Role
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource
from cairn.formats.assemblers.deepspeed import DeepSpeedAssembler
from cairn.formats.assemblers.deepspeed_universal import UniversalAssembler
from cairn.formats.deepspeed_states import read_model_states
from cairn.testing.assemblers import AssemblerConformance, only_assembly, values_of
from cairn.workflows.inspect import inspect_files
from tests.formats.making import bytes_of, saved

Contents = dict[str, bytes]
Named = dict[str, torch.Tensor]

# Uneven on purpose: 15 + 5 + 3 elements in the first group, 7 in the second, none a multiple of 4.
GROUPS: list[dict[str, tuple[int, ...]]] = [
    {"body.weight": (5, 3), "body.bias": (5,), "scale": (3,)},
    {"head.weight": (7, 1)},
]


def parameters(seed: int) -> Named:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator)
        for group in GROUPS
        for name, shape in group.items()
    }


MASTERS, MEANS, SQUARES = parameters(1), parameters(2), parameters(3)
FROZEN = {"base.weight": torch.arange(10.0).reshape(2, 5)}
BUFFER = torch.arange(4.0)


def model_states(module: Named, **more: Any) -> dict[str, Any]:
    shapes = [OrderedDict((n, torch.Size(s)) for n, s in group.items()) for group in GROUPS]
    return {
        "module": OrderedDict(module),
        "buffer_names": ["offset"],
        "optimizer": None,
        "param_shapes": shapes,
        "frozen_param_shapes": OrderedDict((n, t.shape) for n, t in FROZEN.items()),
        "shared_params": {"tied.weight": "head.weight"},
        "frozen_param_fragments": OrderedDict(FROZEN),
        "lr_scheduler": None,
        "global_steps": 3,
        "ds_version": "0.19.8",
        **more,
    }


def flat(values: Named, group: Mapping[str, Any], padding: int = 0) -> torch.Tensor:
    return torch.cat([*(values[name].reshape(-1) for name in group), torch.zeros(padding)])


def padded(values: Named, group: Mapping[str, Any], unit: int) -> torch.Tensor:
    elements = sum(values[name].numel() for name in group)
    return flat(values, group, -elements % unit)


def zero2(
    ranks: int = 2, stage: Any = 2, prefix: str = "bf16_", tag: str = "global_step3"
) -> Contents:
    """Stages 1 and 2: groups end to end, padded, one run per rank."""
    module = {n: t.bfloat16() for n, t in MASTERS.items()}
    module |= {"offset": BUFFER, **FROZEN, "tied.weight": module["head.weight"]}
    contents = {f"{tag}/mp_rank_00_model_states.pt": saved(model_states(module))}
    for rank in range(ranks):
        masters, states = [], {}
        for number, group in enumerate(GROUPS):
            whole = [padded(v, group, 2 * ranks).chunk(ranks) for v in (MASTERS, MEANS, SQUARES)]
            masters.append(whole[0][rank].clone())
            states[number] = {
                "step": torch.tensor(3.0),
                "exp_avg": whole[1][rank].clone(),
                "exp_avg_sq": whole[2][rank].clone(),
            }
        optimizer = {
            "base_optimizer_state": {"state": states, "param_groups": [{"lr": 0.01}, {"lr": 0.02}]},
            "single_partition_of_fp32_groups": masters,
            "zero_stage": stage,
            "group_paddings": [1, 1] if rank == ranks - 1 else [0, 0],
            "partition_count": [ranks, ranks],
        }
        name = f"{tag}/{prefix}zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
        contents[name] = saved({"optimizer_state_dict": optimizer, "ds_version": "0.19.8"})
    return contents


def cut(values: Named, group: Mapping[str, Any], ranks: int, rank: int) -> torch.Tensor:
    """One rank's run of every parameter, the last ones padded."""
    runs = []
    for name in group:
        plain = values[name].reshape(-1)
        size = math.ceil(plain.numel() / ranks)
        whole = torch.cat([plain, torch.full((size * ranks - plain.numel(),), -1.0)])
        runs.append(whole[rank * size : (rank + 1) * size])
    return torch.cat(runs)


def zero3(ranks: int = 3, tag: str = "global_step3") -> Contents:
    """Stage 3: every parameter by itself; every group has a flat vector."""
    contents = {}
    for rank in range(ranks):
        module: Named = {n: torch.empty(0, dtype=torch.bfloat16) for n in (*MASTERS, *FROZEN)}
        module |= {"offset": BUFFER, "tied.weight": torch.empty(0, dtype=torch.bfloat16)}
        fragments = OrderedDict((n, cut(FROZEN, {n: 0}, ranks, rank)) for n in FROZEN)
        states = {
            number: {
                "step": torch.tensor(3.0),
                "exp_avg": cut(MEANS, group, ranks, rank),
                "exp_avg_sq": cut(SQUARES, group, ranks, rank),
            }
            for number, group in enumerate(GROUPS)
        }
        optimizer = {
            "zero_stage": 3,
            "partition_count": ranks,
            "optimizer_state_dict": {"state": states, "param_groups": [{"lr": 0.01}]},
            "fp32_flat_groups": [cut(MASTERS, group, ranks, rank) for group in GROUPS],
        }
        end = f"{rank}_mp_rank_00"
        model = model_states(module, frozen_param_fragments=fragments)
        contents[f"{tag}/zero_pp_rank_{end}_model_states.pt"] = saved(model)
        contents[f"{tag}/zero_pp_rank_{end}_optim_states.pt"] = saved(
            {"optimizer_state_dict": optimizer}
        )
    return contents


def assembly_of(contents: Contents) -> Assembly:
    return only_assembly(DeepSpeedAssembler(), contents)


def read(contents: Contents) -> dict[str, bytes]:
    return values_of(assembly_of(contents), contents)


def changed(contents: Contents, end: str, change: Any) -> Contents:
    """The checkpoint with the value of one file changed by a function."""
    (path,) = (path for path in contents if path.endswith(end))
    value = torch.load(io.BytesIO(contents[path]), weights_only=False)
    change(value)
    return {**contents, path: saved(value)}


class TestDeepSpeed(AssemblerConformance):
    assembler = DeepSpeedAssembler()

    @classmethod
    def make(cls) -> dict[str, Contents]:
        return {"stage 2": {"latest": b"global_step3", **zero2()}, "stage 3": zero3(2)}


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("stage", [1, 2])
def test_masters_and_moments_of_stages_1_and_2_come_back_by_name(stage: int, ranks: int) -> None:
    found = read(zero2(ranks, stage))
    for name, master in MASTERS.items():
        assert found[f"module.{name}"] == bytes_of(master.bfloat16())
        assert found[f"optimizer.fp32.{name}"] == bytes_of(master)
        assert found[f"optimizer.state.{name}.exp_avg"] == bytes_of(MEANS[name])
        assert found[f"optimizer.state.{name}.exp_avg_sq"] == bytes_of(SQUARES[name])
        assert found[f"optimizer.state.{name}.step"] == bytes_of(torch.tensor(3.0))
    assert found["module.base.weight"] == bytes_of(FROZEN["base.weight"])
    assert found["optimizer.fp32.tied.weight"] == bytes_of(MASTERS["head.weight"])


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_masters_and_moments_of_stage_3_come_back_by_name(ranks: int) -> None:
    found = read(zero3(ranks))
    for name, master in MASTERS.items():
        assert found[f"module.{name}"] == bytes_of(master)
        assert found[f"optimizer.state.{name}.exp_avg"] == bytes_of(MEANS[name])
        assert found[f"optimizer.state.{name}.exp_avg_sq"] == bytes_of(SQUARES[name])
    assert found["module.base.weight"] == bytes_of(FROZEN["base.weight"])
    assert found["module.tied.weight"] == bytes_of(MASTERS["head.weight"])
    assert found["module.offset"] == bytes_of(BUFFER)


def test_roles_tell_weights_buffers_and_optimizer_apart() -> None:
    for contents in (zero2(), zero3()):
        roles = {t.name: t.role for t in assembly_of(contents).tensors}
        assert roles["module.body.weight"] is Role.WEIGHTS
        assert roles["module.offset"] is Role.BUFFERS
        assert {r for n, r in roles.items() if n.startswith("optimizer.")} == {Role.OPTIMIZER}


def test_inspect_counts_each_parameter_once_and_says_how_far_training_had_come() -> None:
    sources = {name: BytesSource(data, name) for name, data in zero3().items()}
    found = inspect_files(sources)
    assert sum(found.parameters_by_dtype().values()) == 30 + 10 + 7
    assert found.training["global_steps"] == 3
    assert not found.unread
    assert found.assemblies[0].metadata["zero_stage"] == 3
    assert found.assemblies[0].metadata["optimizer.param_groups.0.lr"] == 0.01


def test_the_stage_may_be_a_member_of_deepspeeds_enum(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("deepspeed_config_of_the_test")
    kind = enum.IntEnum("ZeroStageEnum", {"gradients": 2}, module=module.__name__)
    module.ZeroStageEnum = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert assembly_of(zero2(stage=kind.gradients)).metadata["zero_stage"] == 2


def test_elastic_checkpoints_keep_states_in_a_list_and_no_padding() -> None:
    contents = zero2(2)
    for rank in range(2):

        def strip(value: Any, rank: int = rank) -> None:
            optimizer = value["optimizer_state_dict"]
            states = optimizer["base_optimizer_state"]["state"]
            optimizer["base_optimizer_state"] = [states[0], states[1]]
            if rank:
                optimizer["single_partition_of_fp32_groups"] = [
                    v[:-1].clone() for v in optimizer["single_partition_of_fp32_groups"]
                ]
                for state in states.values():
                    state["exp_avg"] = state["exp_avg"][:-1].clone()
                    state["exp_avg_sq"] = state["exp_avg_sq"][:-1].clone()

        contents = changed(contents, f"rank_{rank}_mp_rank_00_optim_states.pt", strip)
    found = read(contents)
    for name, master in MASTERS.items():
        assert found[f"optimizer.fp32.{name}"] == bytes_of(master)
        assert found[f"optimizer.state.{name}.exp_avg"] == bytes_of(MEANS[name])


def test_paddings_between_parameters_are_left_out() -> None:
    """DeepSpeed 0.19 may align every parameter; the file then says by how much."""

    def spread(value: Any) -> None:
        optimizer = value["optimizer_state_dict"]
        group = GROUPS[0]
        runs = [torch.cat([MASTERS[n].reshape(-1), torch.zeros(3)]) for n in group]
        optimizer["single_partition_of_fp32_groups"][0] = torch.cat(runs)
        optimizer["param_alignment_paddings"] = [[3, 3, 3], [0]]
        del optimizer["base_optimizer_state"]

    contents = changed(zero2(1), "optim_states.pt", spread)
    found = read(contents)
    for name in GROUPS[0]:
        assert found[f"optimizer.fp32.{name}"] == bytes_of(MASTERS[name])


def test_ten_ranks_are_taken_in_the_order_of_their_numbers() -> None:
    assert read(zero2(12))["optimizer.fp32.body.weight"] == bytes_of(MASTERS["body.weight"])


def test_model_parallel_ranks_are_listed_each_by_itself() -> None:
    contents = zero2()
    contents |= {n.replace("mp_rank_00", "mp_rank_01"): data for n, data in zero2().items()}
    found = assembly_of(contents)
    names = {t.name for t in found.tensors}
    assert {"mp_rank_00.module.scale", "mp_rank_01.optimizer.fp32.scale"} <= names
    assert "tensor-parallel shards are listed per rank, not merged" in found.notes
    assert {t.key for t in found.tensors if t.name == "mp_rank_01.module.scale"} == {"scale"}


def test_latest_naming_another_tag_is_noted() -> None:
    found = assembly_of({"latest": b"global_step9\n", **zero2()})
    assert "`latest` names 'global_step9', not this folder" in found.notes
    assert not any("latest" in n for n in assembly_of({"latest": b"global_step3", **zero2()}).notes)


@pytest.mark.parametrize("make", [zero2, zero3])
def test_a_missing_rank_is_named(make: Any) -> None:
    contents = make()
    (path,) = (path for path in contents if path.endswith("_rank_1_mp_rank_00_optim_states.pt"))
    del contents[path]
    with pytest.raises(MalformedError, match=path.rpartition("/")[2].replace(".", r"\.")):
        assembly_of(contents)


@pytest.mark.parametrize(
    ("make", "name"),
    [(zero2, "mp_rank_00_model_states.pt"), (zero3, "zero_pp_rank_2_mp_rank_00_model_states.pt")],
)
def test_missing_model_states_are_named(make: Any, name: str) -> None:
    contents = {path: data for path, data in make().items() if not path.endswith(f"/{name}")}
    with pytest.raises(MalformedError, match=f"'{name}' is missing".replace(".", r"\.")):
        assembly_of(contents)


def test_files_of_more_ranks_than_said_are_refused() -> None:
    contents = zero2(2)
    (path,) = (path for path in contents if "rank_1_mp" in path)
    contents[path.replace("rank_1_mp", "rank_2_mp")] = contents[path]
    with pytest.raises(MalformedError, match="3 ranks, 2 expected"):
        assembly_of(contents)


def test_vectors_longer_than_their_parameters_are_refused() -> None:
    def lengthen(value: Any) -> None:
        value["optimizer_state_dict"]["single_partition_of_fp32_groups"][0] = torch.zeros(40)
        del value["optimizer_state_dict"]["base_optimizer_state"]

    contents = changed(zero2(1), "optim_states.pt", lengthen)
    with pytest.raises(MalformedError, match="group 0 holds 40 elements, its parameters 23"):
        assembly_of(contents)


def test_a_moment_of_another_length_than_the_master_is_refused() -> None:
    def lengthen(value: Any) -> None:
        states = value["optimizer_state_dict"]["base_optimizer_state"]["state"]
        states[0]["exp_avg"] = torch.zeros(13)

    contents = changed(zero2(), "rank_1_mp_rank_00_optim_states.pt", lengthen)
    with pytest.raises(MalformedError, match="holds no 'exp_avg' of every group"):
        assembly_of(contents)


def test_vectors_shorter_than_their_parameters_are_refused() -> None:
    def shorten(value: Any) -> None:
        value["optimizer_state_dict"]["single_partition_of_fp32_groups"][0] = torch.zeros(2)
        del value["optimizer_state_dict"]["base_optimizer_state"]

    contents = changed(zero2(1), "optim_states.pt", shorten)
    with pytest.raises(MalformedError, match="a flat vector ends at 2, 15 elements are wanted"):
        assembly_of(contents)


def test_a_stage_3_rank_with_elements_left_over_is_refused() -> None:
    def lengthen(value: Any) -> None:
        value["optimizer_state_dict"]["fp32_flat_groups"].append(torch.zeros(4))
        states = value["optimizer_state_dict"]["optimizer_state_dict"]["state"]
        states[2] = {"exp_avg": torch.zeros(4), "exp_avg_sq": torch.zeros(4)}

    contents = zero3(2)
    for rank in range(2):
        contents = changed(contents, f"rank_{rank}_mp_rank_00_optim_states.pt", lengthen)
    with pytest.raises(MalformedError, match="a rank holds 21 elements, its parameters 17"):
        assembly_of(contents)


def test_experts_split_over_other_numbers_of_ranks_are_refused_with_advice() -> None:
    def split(value: Any) -> None:
        value["optimizer_state_dict"]["partition_count"] = [2, 1]

    contents = changed(zero2(), "rank_0_mp_rank_00_optim_states.pt", split)
    with pytest.raises(MalformedError, match="different numbers of ranks"):
        assembly_of(contents)


def test_a_dictionary_of_shapes_shared_by_many_groups_is_no_bomb() -> None:
    shared = OrderedDict((f"w{n}", torch.Size((1,))) for n in range(2000))
    data = saved({"param_shapes": [shared] * 2000, "buffer_names": []})
    with pytest.raises(LimitError, match="more than 500000 parameters"):
        read_model_states(BytesSource(data))


def test_model_states_without_zero_have_no_assembly() -> None:
    data = saved({"module": {"w": torch.ones(2)}, "buffer_names": []})
    assert list(DeepSpeedAssembler().anchors(["t/mp_rank_00_model_states.pt"])) == []
    with pytest.raises(MalformedError, match="not of a ZeRO checkpoint"):
        read_model_states(BytesSource(data))


def universal(stage: int = 2) -> Contents:
    """What ds_to_universal.py makes of either stage."""
    source = zero2() if stage == 2 else zero3(2)
    contents = {n: data for n, data in source.items() if n.endswith("_model_states.pt")}
    for name in MASTERS:
        folder = f"global_step3/zero/{name}"
        for key, values in (("fp32", MASTERS), ("exp_avg", MEANS), ("exp_avg_sq", SQUARES)):
            contents[f"{folder}/{key}.pt"] = saved({"cat_dim": 0, "param": values[name]})
        contents[f"{folder}/step.pt"] = saved(torch.tensor(3.0))
    groups = {"param_groups": [{"lr": 0.01}], "zero_stage": stage}
    contents["global_step3/zero/optimizer_state.pt"] = saved(groups)
    return contents


class TestUniversal(AssemblerConformance):
    assembler = UniversalAssembler()

    @classmethod
    def make(cls) -> dict[str, Contents]:
        small = {n: d for n, d in universal().items() if "head" in n or "model_states" in n}
        return {"stage 2": small}


@pytest.mark.parametrize("stage", [2, 3])
def test_universal_checkpoints_are_named_after_their_folders(stage: int) -> None:
    contents = universal(stage)
    found = only_assembly(UniversalAssembler(), contents)
    values = values_of(found, contents)
    masters = "module" if stage == 3 else "optimizer.fp32"
    for name, master in MASTERS.items():
        assert values[f"{masters}.{name}"] == bytes_of(master)
        assert values[f"optimizer.state.{name}.exp_avg"] == bytes_of(MEANS[name])
        assert values[f"optimizer.state.{name}.step"] == bytes_of(torch.tensor(3.0))
    assert found.metadata["optimizer.param_groups.0.lr"] == 0.01
    roles = {t.role for t in found.tensors if t.name.startswith(masters)}
    assert roles == {Role.WEIGHTS if stage == 3 else Role.OPTIMIZER}


@pytest.mark.parametrize("stage", [2, 3])
def test_inspect_counts_each_parameter_of_a_universal_checkpoint_once(stage: int) -> None:
    sources = {name: BytesSource(data, name) for name, data in universal(stage).items()}
    found = inspect_files(sources)
    assert not found.unread
    names = [t.name for _, t in found.tensors() if t.role is Role.WEIGHTS and t.elements]
    assert names.count("module.body.weight") == 1


def test_a_universal_parameter_without_masters_is_refused() -> None:
    contents = universal()
    del contents["global_step3/zero/scale/fp32.pt"]
    with pytest.raises(MalformedError, match=r"'global_step3/zero/scale/fp32\.pt' is missing"):
        only_assembly(UniversalAssembler(), contents)


def test_an_unreadable_file_of_a_universal_checkpoint_is_named() -> None:
    contents = universal()
    contents["global_step3/zero/scale/exp_avg.pt"] = b"PK"
    with pytest.raises(MalformedError, match=r"scale/exp_avg\.pt' could not be read"):
        only_assembly(UniversalAssembler(), contents)
