"""Tensor health on pages and in JSON: what was measured, what waits, what stands out."""

import numpy as np
from safetensors.numpy import save

from cairn.workflows.stored_health import measure_pending
from tests.formats.test_dcp import grid
from tests.hub.web.homes import Home

WEIGHTS = np.random.default_rng(0).normal(size=(16, 8)).astype("<f4")
SICK = WEIGHTS.copy()
SICK[2] = 0
SICK[3, 1] = np.nan
SICK[4, 1] = np.inf
FILE = save({"healthy": WEIGHTS, "sick": SICK, "count": np.arange(3)})
API = "/api/cairn/models/ada/m/health/main"


def test_before_anything_is_measured_the_page_says_so(home: Home) -> None:
    home.repo("ada/m", {"model.safetensors": FILE})
    page = home.page("/ada/m/tensors/main")
    assert "Not measured yet" in page
    assert '<th scope="col">Histogram</th>' not in page
    told = home.client.get(API).json()
    assert (told["measured"], told["waiting"], told["tensors"]) == (0, ["model.safetensors"], [])


def test_what_was_measured_is_on_the_page_with_what_stands_out(home: Home) -> None:
    home.repo("ada/m", {"model.safetensors": FILE})
    assert list(measure_pending(home.house, lambda: True))
    page = home.page("/ada/m/tensors/main")
    assert "3 tensors measured" in page
    assert (
        "1 of 128 values are NaN, 1 of 128 values are infinite, 1 of 16 rows are all zero" in page
    )
    assert page.count('class="histogram"') == 3
    assert "Not measured yet" not in page
    assert f"{WEIGHTS.max():.4g}" in page


def test_the_api_gives_the_numbers_in_pages(home: Home) -> None:
    home.repo("ada/m", {"model.safetensors": FILE})
    assert list(measure_pending(home.house, lambda: True))
    told = home.client.get(API).json()
    assert told["troubles"] == {"NaN": 1, "infinite values": 1, "dead rows": 1}
    by_name = {tensor["name"]: tensor for tensor in told["tensors"]}
    assert by_name["sick"]["troubles"] == ["NaN", "infinite values", "dead rows"]
    statistics = by_name["healthy"]["statistics"]
    assert statistics["evidence"] == "measured"
    assert statistics["max"] == WEIGHTS.max()
    assert sum(statistics["histogram"]["counts"]) <= WEIGHTS.size
    assert by_name["count"]["statistics"]["max"] == 2
    one = home.client.get(f"{API}?filter=sick&limit=1").json()
    assert ([tensor["name"] for tensor in one["tensors"]], one["matching"]) == (["sick"], 1)


def test_health_of_a_private_repo_is_not_told_to_others(home: Home) -> None:
    home.repo("ada/m", {"model.safetensors": FILE}, private=True)
    assert list(measure_pending(home.house, lambda: True))
    assert home.client.get(API).status_code == 401
    headers = {"authorization": f"Bearer {home.token}"}
    assert home.client.get(API, headers=headers).json()["measured"] == 3


def test_the_page_of_one_file_shows_its_health_too(home: Home) -> None:
    home.repo("ada/m", {"model.safetensors": FILE})
    assert list(measure_pending(home.house, lambda: True))
    assert home.page("/ada/m/blob/main/model.safetensors").count('class="histogram"') == 3


def test_tensors_spread_over_files_say_why_they_have_no_numbers(home: Home) -> None:
    files = {f"step/{name}": content for name, content in grid()[0].items()}
    home.repo("ada/m", {**files, "model.safetensors": FILE})
    assert list(measure_pending(home.house, lambda: True))
    page = home.page("/ada/m/tensors/main")
    assert "3 tensors measured" in page
    assert "Each is spread over several files" in page
    assert '<span class="badge">spread over files</span>' in page
    assert "Not measured yet" not in page
    told = home.client.get(API).json()
    assert (len(told["spread"]), told["waiting"], told["measured"]) == (1, [], 3)
