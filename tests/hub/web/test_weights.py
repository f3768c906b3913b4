"""Reports on weights, on the page and in the API: made in the background, shown to who may read."""

from collections.abc import Mapping
from typing import Any

import pytest
from safetensors.numpy import save

from cairn.config import Settings
from cairn.domain import RepoId, RepoType
from cairn.errors import MalformedError, RequestError
from cairn.hub.remote_weights import remote_weights
from cairn.hub.upkeep import Upkeep
from cairn.hub.watch import Watch
from cairn.workflows import sibling_reports
from cairn.workflows.kept_weights import judge_pending
from cairn.workflows.sibling_reports import SiblingReports
from cairn.workflows.stored_health import measure_pending
from tests.hub.web.homes import HTML, Home
from tests.workflows.test_weights import RARE, WORDS, base_state, tuned

PAGE = "/ada/tuned/weights/main"
API = "/api/cairn/models/ada/tuned/weights/main"
CARD = b"---\nbase_model: ada/base\n---\n# A fine-tune\n"
VOCABULARY = b"\n".join(b"word%d<i>" % n for n in range(WORDS))


def push(home: Home, name: str, state: Mapping[str, Any], **repo: bool) -> RepoId:
    files = {"model.safetensors": save(dict(state)), "README.md": CARD, "vocab.txt": VOCABULARY}
    return home.repo(name, files, **repo)


@pytest.fixture
def family(home: Home) -> Home:
    home.repo("ada/base", {"model.safetensors": save(base_state())})
    push(home, "ada/tuned", tuned(9, trigger=1.0))
    return home


def judge(home: Home) -> int:
    return len(list(judge_pending(home.house, lambda: None)))


def test_a_report_waits_and_is_shown_when_it_is_made(family: Home) -> None:
    page = family.page(PAGE)
    assert "Not computed yet" in page and 'http-equiv="refresh"' in page
    assert "experimental" in page and ">Score<" not in page
    answer = family.client.get(API)
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "3")
    assert (answer.json()["state"], answer.json()["report"]) == ("waiting", None)
    assert judge(family) == 1, "asked for twice, made once"
    page = family.page(PAGE)
    assert 'http-equiv="refresh"' not in page
    assert "It stands out (p &lt;= 0.05)" in page and "3 of 80 honest ones" in page
    assert "never proof either way" in page and "backdoored" not in page
    assert f"{RARE} &#39;word{RARE}&lt;i&gt;&#39;" in page, "the token of the row that moved"
    assert page.count("<svg") >= 6 and "Relative change by layer" in page
    assert "Share of the first directions" in page and 'class="own"' in page
    told = family.client.get(API).json()
    assert told["state"] == "done"
    assert told["report"]["base"] == f"ada/base@{told['base']['commit']}"
    assert told["report"]["evidence"]["score"] > 1
    assert judge(family) == 0


def test_how_far_a_report_is_can_be_seen(family: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    family.page(PAGE)
    seen = []

    def look() -> None:
        seen.append(family.page(PAGE))

    assert list(judge_pending(family.house, look))
    assert "Being computed:" in seen[-1] and "<progress" in seen[-1]


def test_siblings_are_ranked_among_each_other_as_far_as_they_are_known(family: Home) -> None:
    push(family, "ada/honest", tuned(1))
    push(family, "ada/unasked", tuned(2))
    push(family, "ada/hidden", tuned(3), private=True)
    for name in ("tuned", "honest", "hidden"):
        family.page(f"/ada/{name}/weights/main", token=family.token)
    judge(family)
    page = family.page(PAGE)
    assert "0 of 1 siblings score as high" in page and "ada/hidden" not in page
    assert '<a href="/ada/unasked/weights">ada/unasked</a> <span class="soft">no report' in page
    assert "0 of 2 siblings score as high" in family.page(PAGE, token=family.token)
    told = family.client.get(API).json()["report"]
    assert [one["name"] for one in told["siblings"]] == ["ada/honest"]
    assert told["evidence"]["among_siblings"] == {"honest": 1, "as_high": 0, "p": 0.5}


def test_the_hub_asks_about_siblings_of_what_people_asked_about(
    family: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        push(family, f"ada/more{number}", tuned(1 + number), private=number == 2)
    family.repo("ada/lone", {"README.md": CARD.replace(b"ada/base", b"ada/nowhere")})
    siblings = SiblingReports(family.house)
    assert not siblings.ask_next(), "nobody asked about any model of the base"
    family.page(PAGE)
    judge(family)
    for _ in range(3):
        assert siblings.ask_next()
        assert judge(family) == 1, "one at a time"
    assert not siblings.ask_next()
    assert not siblings.ask_next(), "nor when it goes round again"
    assert "0 of 2 siblings score as high" in family.page(PAGE)
    assert "0 of 3 siblings score as high" in family.page(PAGE, token=family.token)
    push(family, "ada/more3", tuned(7))
    monkeypatch.setattr(sibling_reports, "MAX_SIBLINGS", 1)
    assert siblings.ask_next(), "the last changed comes first"
    assert judge(family) == 1
    push(family, "ada/more4", tuned(8))
    monkeypatch.setattr(sibling_reports, "_MOST_REPORTS", 5)
    assert not siblings.ask_next(), "as many are kept as may"


def test_the_upkeep_of_a_hub_has_siblings_read(family: Home) -> None:
    push(family, "ada/more", tuned(1))
    upkeep = Upkeep(family.house, Settings(), Watch(family.house, []))
    family.page(PAGE)
    judge(family)
    list(measure_pending(family.house, lambda: True))
    assert upkeep._is_any_to_read()
    assert judge(family) == 1
    upkeep._next_health = 0.0  # as after a reading process ended
    assert not upkeep._is_any_to_read()


def test_without_a_base_that_one_may_read_there_is_no_report(family: Home) -> None:
    assert "Its card names no base model." in family.page("/ada/base/weights/main")
    family.house.catalog.repos.update(RepoId.parse(RepoType.MODEL, "ada/base"), private=True)
    assert "which this hub does not have for you" in family.page(PAGE)
    assert family.client.get(API).json()["state"] == "no-base"
    assert "Not computed yet" in family.page(PAGE, token=family.token)
    family.page(f"{PAGE}?base=ada/base", status=404)
    assert "this very revision" in family.page(f"{PAGE}?base=ada/tuned")
    family.repo("ada/words", {"README.md": CARD})
    assert "holds no weights" in family.page("/ada/words/weights/main")


def test_what_cannot_be_held_against_each_other_says_why(family: Home) -> None:
    family.repo(
        "ada/other", {"model.safetensors": save({"elsewhere": base_state()["head.weight"]})}
    )
    family.page(f"{PAGE}?base=ada/other")
    judge(family)
    page = family.page(f"{PAGE}?base=ada/other&base_rev=main")
    assert "There is no report:" in page and "has no weights by a name that the base has" in page
    told = family.client.get(f"{API}?base=ada/other").json()
    assert told["state"] == "failed" and "is it a fine-tune of it" in told["reason"]


def test_pages_lead_to_the_report(family: Home) -> None:
    for tab in ("security", "tensors"):
        assert f'href="{PAGE}"' in family.page(f"/ada/tuned/{tab}/main")
    answer = family.client.get("/ada/tuned/weights", headers=HTML, follow_redirects=False)
    assert answer.headers["location"] == PAGE


class Remote:
    """The API of this home, asked as `RemoteHub` asks it."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def weights(self, repo: RepoId, rev: str, base: str, base_rev: str) -> dict[str, Any]:
        asked = {"base": base, "base_rev": base_rev}
        path = f"/api/cairn/{repo.type.plural}/{repo.full_name}/weights/{rev}"
        return self._home.client.get(path, params=asked).json()


def test_the_command_waits_for_the_hubs_report(family: Home) -> None:
    tuned_repo, said = RepoId.parse(RepoType.MODEL, "ada/tuned"), []
    told = remote_weights(
        Remote(family),
        tuned_repo,
        "main",
        base=("", ""),
        waiting=said.append,
        pause=lambda _: judge(family),
    )
    assert told["model"].startswith("ada/tuned@") and told["tensors"]
    assert len(said) == 1
    base = RepoId.parse(RepoType.MODEL, "ada/base")
    with pytest.raises(RequestError, match="names no base model"):
        remote_weights(Remote(family), base, "main", base=("", ""), waiting=said.append)


SPOILT = (
    lambda told: told.update(state="perhaps"),
    lambda told: told.update(report=None),
    lambda told: told["report"].pop("base"),
    lambda told: told["report"]["tensors"][0].update(shape=3),
    lambda told: told["report"]["tensors"][0].update(leading_shares=["many"]),
    lambda told: told["report"].update(facts=[{"tensor": 1, "text": "x"}]),
)


def test_an_answer_that_is_none_is_refused(family: Home) -> None:
    family.page(PAGE)
    judge(family)
    repo = RepoId.parse(RepoType.MODEL, "ada/tuned")
    for spoil in SPOILT:

        class Lying(Remote):
            def weights(self, *asked: str) -> dict[str, Any]:
                told = super().weights(*asked)
                spoil(told)  # noqa: B023 - asked within the loop
                return told

        with pytest.raises(MalformedError):
            remote_weights(Lying(family), repo, "main", base=("", ""), waiting=print)
