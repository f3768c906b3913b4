"""DCP in and out: what torch writes is taken over, on other ranks too, and torch takes ours."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from cairn.errors import MalformedError, RequestError, UntrustedDataError
from cairn.training.dcp import take_dcp, write_dcp
from tests.training.loop import digest
from tests.training.ranks.loop import RankLoop, whole
from tests.training.ranks.processes import in_ranks


def states(loop: RankLoop) -> list[str]:
    return [digest(in_order(whole(one.state_dict()))) for one in (loop.model, loop.optimizer)]


def in_order(state: Any) -> Any:
    """What differs in the order of its names alone is the same."""
    if isinstance(state, dict):
        return {key: in_order(state[key]) for key in sorted(state)}
    return [in_order(one) for one in state] if isinstance(state, list) else state


def saved(folder: Path) -> list[str]:
    loop = RankLoop(3, sharded=True)
    for group in loop.optimizer.param_groups:
        group["lr"] = 0.0125
    loop.run(2)
    write_dcp(folder, model=loop.model, optimizer=loop.optimizer)
    return states(loop)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """By two ranks with sharded models."""
    folder = tmp_path_factory.mktemp("dcp")
    found = in_ranks(2, folder / "ranks", lambda _: saved(folder / "dcp"))
    assert found[0] == found[1]
    return folder / "dcp", found[0]


def taken(folder: Path) -> list[str]:
    loop = RankLoop(99, sharded=True)
    take_dcp(folder, model=loop.model, optimizer=loop.optimizer)
    return states(loop)


def test_one_process_takes_over_what_two_ranks_wrote(written: tuple[Path, list[str]]) -> None:
    folder, wanted = written
    assert taken(folder) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_ranks_take_it_over(size: int, written: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, wanted = written
    assert in_ranks(size, tmp_path, lambda _: taken(folder)) == [wanted] * size


def test_torch_takes_what_is_written(tmp_path: Path) -> None:
    loop = RankLoop(3, sharded=False).run(2)
    write_dcp(tmp_path, model=loop.model, optimizer=loop.optimizer)
    other = RankLoop(99, sharded=False)
    weights, optimizer = get_state_dict(other.model, other.optimizer)
    room: dict[str, Any] = {"model": weights, "optim": optimizer}
    dcp.load(room, checkpoint_id=str(tmp_path))
    set_state_dict(
        other.model,
        other.optimizer,
        model_state_dict=room["model"],
        optim_state_dict=room["optim"],
    )
    assert states(other) == states(loop)


def test_another_model_is_refused_and_nothing_changes(written: tuple[Path, list[str]]) -> None:
    folder, _ = written
    loop = RankLoop(99, sharded=False)
    before = states(loop)
    bigger = nn.Sequential(*loop.model, nn.Linear(3, 3))
    with pytest.raises(RequestError, match=r"it has no 4\.weight, 4\.bias"):
        take_dcp(folder, model=bigger, optimizer=loop.optimizer)
    loop.model[3] = nn.Linear(7, 2)
    with pytest.raises(RequestError, match=r"3\.weight is torch.float32 \(2, 7\) here"):
        take_dcp(folder, model=loop.model, optimizer=loop.optimizer)
    other = torch.optim.AdamW(nn.Linear(2, 2).parameters())
    whole_model = RankLoop(99, sharded=False).model
    with pytest.raises(RequestError, match="2 parameters that are not the model's"):
        take_dcp(folder, model=whole_model, optimizer=other)
    assert states(loop)[1] == before[1]


def test_a_damaged_folder_is_told(written: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = written
    loop = RankLoop(99, sharded=False)
    with pytest.raises(MalformedError, match=r"has no \.metadata"):
        take_dcp(tmp_path, model=loop.model)
    for path in folder.iterdir():
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[: len(data) // 2])
    with pytest.raises(UntrustedDataError):
        take_dcp(tmp_path, model=loop.model)
