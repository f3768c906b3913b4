"""The page of a training run: what it says, what it leaves out, and what strangers put in it."""

import json
import math
import re
import struct

import pytest

from cairn.domain import RunStatus
from cairn.hub.web.line_chart import line_chart
from cairn.workflows import bounded_runs
from tests.hub.web.homes import Home
from tests.hub.web.runs import run_files

PAGE = "/ada/run/training/main"
EVIL = "<img src=x onerror=alert(1)>"


def test_a_run_has_a_page_with_curves_checkpoints_and_where_it_goes_on(home: Home) -> None:
    home.repo("ada/run", run_files())
    assert f'href="{PAGE}"' in home.page("/ada/run")
    html = home.page(PAGE)
    assert "Ended" in html
    assert html.count("<polyline") == 3
    assert "loss from step 1 to 60" in html
    assert re.search(r'href="/ada/run/tree/main/step-60">60<', html)
    assert html.count("goes on here") == 1
    for said in ("train.py --learning-rate", "org/base@v1", "after step 20", "cairn run resume"):
        assert said in re.sub(r"<wbr>", "", html)
    redirect = home.client.get("/ada/run/training", follow_redirects=False)
    assert redirect.headers["location"].endswith(PAGE)


def test_other_repos_have_none(home: Home) -> None:
    home.repo("ada/model", {"README.md": b"# x\n"})
    assert "/training/" not in home.page("/ada/model")
    home.page("/ada/model/training/main", status=404)
    home.repo("ada/empty")
    home.page("/ada/empty/training/main", status=404)


def test_what_is_not_whole_and_not_a_number_is_told(home: Home) -> None:
    files = run_files(nan_at=30, status=RunStatus.FAILED, error="ValueError: no more data")
    files["step-60/model.safetensors"] += b"x"
    home.repo("ada/run", files)
    html = re.sub(r"<wbr>", "", home.page(PAGE))
    assert "ValueError: no more data" in html
    assert "No number at step 30" in html
    assert html.count("<polyline") == 4  # the loss has a gap
    assert "not whole" in html
    assert re.search(r"40</a></td>.*?goes on here", html)


@pytest.mark.parametrize(
    "content", [b"{", b'{"format": "cairn-run", "version": 9}', b'{"format": "cairn-run"}']
)
def test_a_record_that_cannot_be_read_is_told(home: Home, content: bytes) -> None:
    home.repo("ada/run", {**run_files(), "run.json": content})
    assert "The run cannot be read" in home.page(PAGE)


def test_a_page_reads_no_more_than_it_has_time_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.repo("ada/run", run_files())
    monkeypatch.setattr(bounded_runs, "MAX_CURVE_BYTES", 1000)
    monkeypatch.setattr(bounded_runs, "MAX_RECORD_BYTES", 700)
    html = home.page(PAGE)
    assert "too long to be drawn" in html
    assert "The newest 2 of 3 checkpoints are listed" in html


@pytest.mark.parametrize("limit", ["MAX_CURVE_NAMES", "MAX_CURVE_VALUES"])
def test_curves_of_too_many_names_or_values_are_left_out(
    home: Home, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    home.repo("ada/run", run_files())
    assert "too long to be drawn" not in home.page(PAGE)
    monkeypatch.setattr(bounded_runs, limit, 1)
    html = home.page(PAGE)
    assert "too long to be drawn" in html
    assert "40</a></td>" in html  # checkpoints are listed as before


def test_a_checkpoint_of_many_metrics_is_shown_with_some(home: Home) -> None:
    files = run_files(nan_at=60)
    record = json.loads(files["step-60/checkpoint.json"])
    nan = {"$float": struct.pack(">d", math.nan).hex()}
    record["metrics"] = {**{f"name{n}": n for n in range(5000)}, "odd": nan}
    files["step-60/checkpoint.json"] = json.dumps(record).encode()
    home.repo("ada/run", files)
    html = home.page(PAGE)
    assert "metrics 24 are listed" in html
    assert len(set(re.findall(r"name\d+", html))) == 23 and "odd nan" in html
    assert re.search(r"40</a></td>.*?goes on here", re.sub(r"<wbr>", "", html))


def test_the_api_tells_what_the_page_draws(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.repo("ada/run", run_files(nan_at=30))
    monkeypatch.setattr(bounded_runs, "MAX_RECORD_BYTES", 700)
    said = home.client.get("/api/cairn/models/ada/run/training/main").json()
    assert (said["status"], said["last_step"], said["resume_point"]) == ("ended", 60, 60)
    assert said["record"]["seed"] == 7 and len(said["curves"]["loss"]) == 60
    assert said["curves"]["loss"][29] == [30, "NaN"]
    assert [one["step"] for one in said["steps"]] == [40, 60]
    assert said["left_out"] == ["The newest 2 of 3 checkpoints are listed."]
    home.repo("ada/model", {"README.md": b"# x\n"})
    assert home.client.get("/api/cairn/models/ada/model/training/main").status_code == 404
    home.repo("ada/odd", {**run_files(), "run.json": b"{"})
    refused = home.client.get("/api/cairn/models/ada/odd/training/main")
    assert refused.status_code == 400 and "run.json" in refused.text


def test_what_strangers_write_is_text(home: Home) -> None:
    files = run_files(name=EVIL, error=EVIL, status=RunStatus.FAILED)
    files["metrics.jsonl"] = files["metrics.jsonl"].replace(b'"rate"', f'"{EVIL}"'.encode())
    home.repo("ada/run", files)
    html = home.page(PAGE)
    assert EVIL not in html
    assert html.count("&lt;img") >= 3


def test_long_curves_are_thinned_and_keep_their_peaks() -> None:
    curve = [(step, 1.0 if step == 7777 else 0.5) for step in range(20_000)]
    drawn = str(line_chart(curve, [], "loss"))
    assert drawn.count(",") < 2000
    assert ",6.0 " in drawn  # the top
    assert "has no numbers" in str(line_chart([(1, float("nan"))], [], "loss"))
    assert "<polyline" in str(line_chart([(1, 2.0)], [1], "loss"))
