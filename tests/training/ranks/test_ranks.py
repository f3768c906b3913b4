"""Ranks that train together go on to the bit; other numbers of them only if that is asked for."""

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from cairn import training
from cairn.domain import Retention
from cairn.errors import InexactError, IntegrityError, MalformedError, RequestError
from cairn.training import Run, saving
from cairn.training.ranks.group import new_ranks
from tests.training.loop import digest
from tests.training.ranks.loop import BATCH, SAVED_AT, RankLoop, whole
from tests.training.ranks.processes import RanksFailedError, in_ranks

KINDS: dict[str, dict[str, Any]] = {
    "data-parallel": {"sharded": False, "normed": True},
    "sharded": {"sharded": True},
}


def saved_and_straight(folder: Path) -> dict[str, Any]:
    """Save on the way, and train on: what came of it, and what each rank had in its next batch."""
    told = {}
    for name, kind in KINDS.items():
        loop = RankLoop(3, **kind).run(SAVED_AT)
        values = {"rank": loop.rank}
        training.save(folder / name, loop.step, values=values, code=folder, **loop.parts)
        at_save = {key: digest(whole(loop.parts[key].state_dict())) for key in loop.parts}
        told[name] = {**loop.run().outcome(), "at save": at_save, "seen": loop.seen[SAVED_AT]}
    return told


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("straight")
    return folder, in_ranks(2, folder / "ranks", lambda _: saved_and_straight(folder))


@pytest.fixture
def run(straight: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> Path:
    """A copy of the run of two sharded ranks, to spoil."""
    return Path(shutil.copytree(straight[0] / "sharded", tmp_path / "run"))


def went_on(folder: Path) -> dict[str, Any]:
    told = {}
    for name, kind in KINDS.items():
        loop = RankLoop(99, **kind)
        back = loop.resume(folder / name)
        assert back.is_exact
        assert back.values == {"rank": loop.rank}
        told[name] = loop.run().outcome()
    return told


def test_ranks_go_on_to_the_bit(
    straight: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, wanted = straight
    found = in_ranks(2, tmp_path, lambda _: went_on(folder))
    for mine, its in zip(found, wanted, strict=True):
        for name in KINDS:
            assert mine[name].items() <= its[name].items()
    assert found[0]["sharded"]["losses"] != found[1]["sharded"]["losses"]
    assert found[0]["sharded"]["random"] != found[1]["sharded"]["random"]


def test_what_all_ranks_have_is_kept_once(straight: tuple[Path, list[Any]]) -> None:
    files = {path.name for path in (straight[0] / "data-parallel/step-4").iterdir()}
    assert files == {
        *("checkpoint.json", "model.safetensors", "optimizer.safetensors", "random.safetensors"),
        # Running means are a rank's own.
        *("model.rank-1.safetensors", "random.rank-1.safetensors"),
    }
    files = {path.name for path in (straight[0] / "sharded/step-4").iterdir()}
    assert {"model.rank-0.safetensors", "model.rank-1.safetensors"} <= files
    assert "model.safetensors" not in files


def on_other_ranks(folder: Path) -> dict[str, Any]:
    """Resume, and look before and after a step."""
    loop = RankLoop(99, sharded=True)
    back = loop.resume(folder, allow={"processes"})
    at_resume = {key: digest(whole(loop.parts[key].state_dict())) for key in loop.parts}
    differences = list(map(str, back.differences))
    loop.run()
    return {"state": at_resume, "differences": differences, "seen": loop.seen[0]}


def check_other_ranks(wanted: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    for one in found:
        assert one["state"] == wanted[0]["sharded"]["at save"]
        assert one["differences"] == [f"processes was 2 and is {len(found)}"]
    of_two = sorted(x for one in wanted for x in one["sharded"]["seen"])
    assert sorted(x for one in found for x in one["seen"]) == of_two
    assert len(of_two) == BATCH


def test_one_rank_takes_the_state_of_two_if_that_is_asked_for(
    straight: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, wanted = straight
    with pytest.raises(InexactError, match="processes was 2 and is 1"):
        RankLoop(99, sharded=True).resume(folder / "sharded")
    with pytest.warns(UserWarning, match="processes was 2 and is 1"):
        check_other_ranks(wanted, [on_other_ranks(folder / "sharded")])


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 4])
def test_more_ranks_take_the_state_of_two(
    size: int, straight: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, wanted = straight

    def resumed(rank: int) -> dict[str, Any]:
        told = on_other_ranks(folder / "sharded")
        return {**told, "random": float(torch.rand(1)).hex()}

    found = in_ranks(size, tmp_path, resumed)
    assert len({one["random"] for one in found}) == size  # no two ranks draw the same
    if BATCH % size == 0:
        check_other_ranks(wanted, found)
    for one in found:
        assert one["state"] == wanted[0]["sharded"]["at save"]


@pytest.mark.slow
def test_two_ranks_take_the_state_of_one_and_of_four(tmp_path: Path) -> None:
    def save(folder: Path) -> str:
        loop = RankLoop(3, sharded=True).run(SAVED_AT)
        training.save(folder, loop.step, code=folder, **loop.parts)
        return digest(whole([part.state_dict() for part in loop.parts.values()]))

    def take(folder: Path) -> str:
        loop = RankLoop(99, sharded=True)
        loop.resume(folder, allow={"processes"})
        return digest(whole([part.state_dict() for part in loop.parts.values()]))

    for size in (1, 4):
        run = tmp_path / str(size)
        wanted = in_ranks(size, tmp_path / f"save-{size}", lambda _, run=run: save(run))
        found = in_ranks(2, tmp_path / f"take-{size}", lambda _, run=run: take(run))
        assert set(found) == set(wanted)
    files = {path.name for path in (tmp_path / "4/step-4").glob("model.*")}
    assert files == {"model.rank-0.safetensors", "model.rank-1.safetensors"}  # copies are not kept


# --- what can go wrong ---------------------------------------------------------------------


def damaged(run: Path, error: type[Exception]) -> str:
    loop = RankLoop(99, sharded=True)
    before = digest(loop.model.state_dict())
    with pytest.raises(error) as caught:
        loop.resume(run, allow={"processes"})
    assert digest(loop.model.state_dict()) == before
    return str(caught.value)


def test_a_file_of_a_rank_that_is_cut_or_missing_is_named(run: Path) -> None:
    file = run / "step-4/optimizer.rank-1.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    assert f"optimizer.rank-1.safetensors has {len(data) - 1:,} bytes" in damaged(
        run, IntegrityError
    )
    file.write_bytes(data[:-1] + b"?")
    assert "does not have the bytes" in damaged(run, IntegrityError)
    file.unlink()
    assert "optimizer.rank-1.safetensors is missing" in damaged(run, IntegrityError)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["pieces"]["model"]["0.weight"].update(at=[[5, [0, 0], [1, 4]]]),
        lambda said: said["pieces"]["model"]["0.weight"].update(shape=[3, 4]),
        lambda said: said["pieces"]["model"]["0.weight"]["at"][0].__setitem__(2, [1, 4]),
        lambda said: said.update(size=0),
        lambda said: said.update(own={"x": {"environment": None, "parts": {}}}),
    ],
)
def test_a_record_that_misstates_pieces_is_malformed(change: Any, run: Path) -> None:
    file = run / "step-4/checkpoint.json"
    said = json.loads(file.read_text())
    del said["sha256"]
    change(said["ranks"])
    text = json.dumps(said, separators=(",", ":"))
    said["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(said))
    damaged(run, MalformedError)


def test_another_model_is_refused_with_its_parameter(run: Path) -> None:
    loop = RankLoop(99, sharded=True)
    loop.model[3] = torch.nn.Linear(7, 2)
    with pytest.raises(RequestError, match=r"3\.weight has the shape \(2, 7\) here, \(3, 7\)"):
        loop.resume(run, allow={"processes"})


def test_a_step_of_several_ranks_cannot_be_finished_by_others(tmp_path: Path) -> None:
    def save(rank: int) -> None:
        model = torch.nn.Linear(2, 2)
        model(torch.ones(1, 2)).sum().backward()
        training.save(tmp_path / "run", 1, accumulated=1, code=tmp_path, model=model)

    in_ranks(2, tmp_path / "ranks", save)
    with pytest.raises(RequestError, match="2 ranks were in the middle of a step"):
        training.resume(
            tmp_path / "run", allow="everything", code=tmp_path, model=torch.nn.Linear(2, 2)
        )


def test_what_one_rank_cannot_keep_no_rank_keeps(tmp_path: Path) -> None:
    def save(rank: int) -> str:
        values = {"what": object()} if rank else {}
        try:
            training.save(tmp_path / "run", 1, values=values, model=torch.nn.Linear(2, 2))
        except RequestError as error:
            return str(error)
        return ""

    first, second = in_ranks(2, tmp_path / "ranks", save)
    assert "values.what is a builtins.object" in second
    assert first.startswith("rank 1: values.what")
    assert training.steps(tmp_path / "run") == []


def test_a_rank_that_dies_while_saving_leaves_no_half_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def save(rank: int) -> None:
        loop = RankLoop(3, sharded=True)
        with Run(folder, keep=Retention(last=1), code=folder, **loop.parts) as run:
            run.save(loop.run(1).step)
            run.wait()
            if rank:  # in the middle of its files
                write = saving._write

                def die(path: Path, table: Any) -> Any:
                    if path.name.startswith("optimizer"):
                        os.kill(os.getpid(), signal.SIGKILL)
                    return write(path, table)

                saving._write = die
            run.save(loop.run(2).step)

    with pytest.raises(RanksFailedError) as caught:
        in_ranks(2, tmp_path / "ranks", save)
    assert "rank 1 (-9)" in str(caught.value)
    assert "not every rank came to" in str(caught.value)
    assert training.steps(folder) == [1]

    def go_on(rank: int) -> int:
        loop = RankLoop(99, sharded=True)
        with Run(folder, keep=Retention(last=1), code=folder, **loop.parts) as run:
            back = run.resume()
            assert back is not None
            assert back.is_exact
            loop.step = back.step
            run.save(loop.run(2).step)
        return back.step

    assert in_ranks(2, tmp_path / "again", go_on) == [1, 1]
    assert training.steps(folder) == [2]
    assert [path.name for path in folder.iterdir() if "step" in path.name] == ["step-2"]


def wait_s() -> float:
    """How long a rank waits for what the others have to say."""
    group = new_ranks()._group
    options: Any = group._get_backend(torch.device("cpu")).options
    return float(options._timeout.total_seconds())


def test_ranks_wait_for_hours_while_the_first_one_measures(tmp_path: Path) -> None:
    assert min(in_ranks(2, tmp_path, lambda _: wait_s())) >= 12 * 3600
