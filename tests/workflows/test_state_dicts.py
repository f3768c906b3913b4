"""State dicts: the names that load_state_dict expects, whatever was saved around them."""

import pytest
import torch
from torch import nn

from cairn.domain import Role
from cairn.errors import RequestError
from cairn.workflows.state_dicts import renamed, state_dict, without_repeats
from tests.formats.making import layout_of, saved


def tensors_of(value, name="sample.pt"):
    return [(name, tensor) for tensor in layout_of(saved(value), name).tensors]


def names(state):
    return {named.name for named in state.tensors}


class Llama(nn.Module):
    """Its own names begin with `model.`, which must not be taken for a container."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.lm_head = nn.Linear(2, 2)


def adam_of(model):
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


LLAMA = Llama()
STATE = LLAMA.state_dict()


@pytest.mark.parametrize(
    "value",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "global_step": 5},
        {"model": STATE, "optimizer": adam_of(LLAMA)},
        {"model_state_dict": STATE, "optimizer_state_dict": adam_of(LLAMA), "loss": 0.5},
        {"module": STATE, "ds_version": "0.16"},
        {"state_dict": STATE, "best_acc1": torch.tensor(71.5)},
        {"outer": {"state_dict": STATE}},
        LLAMA,
        {"model": LLAMA, "epoch": 1},
    ],
    ids=[
        *("plain", "lightning", "model", "model_state_dict", "deepspeed"),
        *("loose scalar", "nested", "module", "module in a dict"),
    ],
)
def test_names_are_those_of_the_state_dict(value) -> None:
    assert names(state_dict(tensors_of(value))) == set(STATE)


def test_prefixes_that_are_part_of_the_names_stay() -> None:
    parallel = {f"module.{name}": tensor for name, tensor in STATE.items()}
    assert names(state_dict(tensors_of(parallel))) == set(parallel)
    assert names(state_dict(tensors_of({"state_dict": parallel}))) == set(parallel)


def test_two_state_dicts_in_one_file_keep_their_containers_apart() -> None:
    value = {"generator": STATE, "discriminator": Llama().state_dict()}
    found = names(state_dict(tensors_of(value)))
    assert found == {f"{side}.{name}" for side in value for name in STATE}


def test_what_lies_beside_the_state_dict_is_named_as_left_out() -> None:
    state = state_dict(tensors_of({"state_dict": STATE, "best_acc1": torch.tensor([71.5])}))
    assert state.left_out == ("best_acc1",)


def test_other_roles_are_chosen_by_name() -> None:
    value = {"model": STATE, "optimizer": adam_of(LLAMA)}
    assert names(state_dict(tensors_of(value), (Role.OPTIMIZER,))) >= {"0.exp_avg", "0.step"}
    with pytest.raises(RequestError, match=r"role rng; .*weights \(6\), buffers \(3\), optimizer"):
        state_dict(tensors_of(value), (Role.RNG,))


def test_all_roles_together_keep_their_full_names() -> None:
    value = {"model": STATE, "optimizer": adam_of(LLAMA)}
    found = names(state_dict(tensors_of(value), tuple(Role)))
    assert "model.model.0.weight" in found and "optimizer.state.0.exp_avg" in found


def test_prefixes_are_taken_off_and_put_on() -> None:
    state = state_dict(tensors_of(STATE))
    assert names(renamed(state, strip="model", prefix="net.")) == {
        f"net.{name.removeprefix('model.')}" for name in STATE
    }
    with pytest.raises(RequestError, match=r"no tensor's name begins with 'encoder\.'"):
        renamed(state, strip="encoder")


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(RequestError, match=r"'w' of a\.pt and 'w' of b\.pt"):
        state_dict(
            [*tensors_of({"w": torch.ones(1)}, "a.pt"), *tensors_of({"w": torch.ones(1)}, "b.pt")]
        )
    state = state_dict(tensors_of({"a.w": torch.ones(1), "w": torch.ones(1)}))
    with pytest.raises(RequestError, match="would be called 'w'"):
        renamed(state, strip="a")


def test_repeats_are_dropped_in_favour_of_the_first_name() -> None:
    tied = torch.ones(2, 3)
    value = {"head": tied, "embed": tied, "turned": tied.t(), "none": tied[:0], "nil": tied[:0]}
    state = without_repeats(state_dict(tensors_of(value)))
    assert names(state) == {"embed", "turned", "none", "nil"}
    assert state.dropped == {"head": "embed"}
    assert state.size_bytes == 48
