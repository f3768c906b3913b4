"""The pages over a real catalog and store, read the way a browser without scripts would."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from cairn.domain import RepoType
from cairn.hub.web import default_revision
from cairn.workflows.rounds import verify_due
from cairn.workflows.transparency import settle
from tests.hub.web.homes import HTML, Home, open_home, safetensors

EVIL = "<img src=x onerror=alert(1)>"
TENSORS = safetensors(
    {
        "encoder.layer.0.weight": ("F32", (2, 3), b"\0" * 24),
        "encoder.layer.1.weight": ("F32", (2, 3), b"\0" * 24),
        "head.bias": ("BF16", (4,), b"\0" * 8),
    }
)
CARD = b"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
base_model: ada/parent
tags: [calm]
---
# A model

See [the config](config.json).
"""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    """One home with a model in it, for tests that only look."""
    with open_home(tmp_path_factory.mktemp("furnished")) as home:
        _model(home)
        home.house.catalog.repos.update(_model(home, "ada/gated"), gated="manual")
        yield home


class _Addresses(HTMLParser):
    """Collects what a browser would load from a page, and its inline scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("img", "script", "source", "iframe") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link":
            self.loaded.append(given["href"])
        if tag == "script" and not given.get("src"):
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "style":
            self.inline.append(tag)


def _model(home: Home, name: str = "ada/model"):
    files = {
        "README.md": CARD,
        "config.json": json.dumps({"model_type": "bert", "architectures": ["BertModel"]}).encode(),
        "weights/model.safetensors": TENSORS,
        "notes.txt": b"plain\ntext\n",
    }
    return home.repo(name, files)


PAGES = [
    "/",
    "/models",
    "/datasets",
    "/spaces",
    "/ada",
    "/ada/model",
    "/ada/model/tree/main",
    "/ada/model/tree/main/weights",
    "/ada/model/blob/main/README.md",
    "/ada/model/blob/main/config.json",
    "/ada/model/blob/main/notes.txt",
    "/ada/model/blob/main/weights/model.safetensors",
    "/ada/model/commits/main",
    "/ada/model/security/main",
    "/ada/model/security/main/notes.txt",
    "/security/rules",
    "/ada/model/tensors/main",
    "/ada/model/storage/main",
    "/ada/model/weights/main",
    "/ada/model/card/main",
    "/ada/gated",
    "/login",
    "/api/cairn/docs",
]


def test_no_page_loads_anything_from_elsewhere_or_runs_anything_inline(furnished):
    for path in PAGES:
        response = furnished.client.get(path, headers=HTML)
        assert response.status_code == 200, path
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        seen = _Addresses()
        seen.feed(response.text)
        assert seen.inline == [], path
        assert seen.loaded, path
        assert all(a.startswith("/") and not a.startswith("//") for a in seen.loaded), path


def test_every_link_on_a_repos_pages_leads_somewhere(furnished):
    links = set()
    for path in PAGES:
        links |= set(re.findall(r'href="(/[^"#]*)', furnished.page(path)))
    for link in sorted(links):
        if "/resolve/" in link:
            continue  # bytes: the wire's tests cover them
        status = furnished.client.get(link.replace("&amp;", "&"), headers=HTML).status_code
        assert status == 200 or link == "/ada/parent", (link, status)


def test_every_page_has_one_main_landmark_one_title_and_named_fields(furnished):
    for path in PAGES:
        html = furnished.page(path)
        assert html.count("<main") == 1, path
        assert len(re.findall(r"<h1[ >]", html.replace("card-", ""))) >= 1, path
        assert re.search(r"<title>[^<]+</title>", html), path
        for field in re.findall(r"<(?:input|select)[^>]*>", html):
            if 'type="hidden"' in field:
                continue
            name = re.search(r'id="([^"]+)"', field)
            assert name, (path, field)
            assert f'<label for="{name.group(1)}"' in html or f'for="{name.group(1)}"' in html


def test_names_titles_and_metadata_from_strangers_are_shown_as_text(home):
    repo = home.repo("ada/model", {f"a{EVIL}.txt": EVIL.encode(), "README.md": b"# x\n"})
    home.commit(repo, {"b.txt": b"1"}, title=EVIL, description=EVIL)
    evil_tensors = safetensors({EVIL: ("F32", (1,), b"\0\0\0\0")})
    home.commit(
        repo,
        {
            "model.safetensors": evil_tensors,
            "README.md": f"---\ntags: ['{EVIL}']\nlicense: '{EVIL}'\n{EVIL}: 1\n---\n".encode(),
        },
    )
    head = home.house.catalog.history.resolve(home.house.catalog.repos.get(repo).uid, "main")
    shown = 0
    for path in (
        "/",
        f"/models?q={quote(EVIL)}",
        f"/models?license={quote(EVIL)}",
        "/ada/model",
        "/ada/model/tree/main",
        f"/ada/model/blob/main/{quote(f'a{EVIL}.txt')}",
        "/ada/model/commits/main",
        f"/ada/model/commit/{head.parents[0]}",
        "/ada/model/tensors/main",
        f"/ada/model/tensors/main?q={quote(EVIL)}",
        "/ada/model/storage/main",
    ):
        html = home.page(path)
        assert EVIL not in html, path
        assert "<img src=x" not in html, path
        shown += "&lt;img" in html
    assert shown >= 9
    html = home.page(f"/ada/model/tree/{quote(EVIL)}", status=404)
    assert "<img src=x" not in html


def test_a_private_repo_looks_exactly_like_a_missing_one_to_strangers(home):
    home.repo("ada/secret", {"README.md": b"# hush\n"}, private=True)
    paths = ("", "/tree/main", "/blob/main/README.md", "/commits/main", "/tensors/main")
    for suffix in paths:
        for token in (None, home.stranger_token):
            hidden = home.page(f"/ada/secret{suffix}", token=token, status=404)
            missing = home.page(f"/ada/absent{suffix}", token=token, status=404)
            same = [re.sub(r"Request <span.*", "", page) for page in (hidden, missing)]
            assert same[0].replace("secret", "absent") == same[1]
        home.page(f"/ada/secret{suffix}", token=home.token)
    assert "secret" not in home.page("/")
    assert "secret" not in home.page("/ada")
    assert "secret" not in home.page("/models?q=secret").replace('value="secret"', "")
    assert "ada/</span>secret" in home.page("/", token=home.token)


def test_an_empty_hub_says_how_to_push_to_it(home):
    html = home.page("/")
    assert "HF_ENDPOINT=http://testserver" in html
    assert "hf upload" in html
    assert "--repo-type dataset" in home.page("/datasets")


def test_a_new_repo_says_how_to_push_to_it(home):
    home.repo("ada/new")
    html = home.page("/ada/new")
    assert "hf upload ada/new" in html


def test_the_list_filters_sorts_and_pages(home):
    for number in range(35):
        kind = b"text-generation" if number % 2 else b"image-classification"
        home.repo(f"ada/m{number:02}", {"README.md": b"---\npipeline_tag: " + kind + b"\n---\n"})
    first = home.page("/models?sort=createdAt")
    found = re.findall(r'href="/ada/(m\d\d)"', first)
    assert len(found) == 30
    more = re.search(r'rel="next" href="([^"]+)"', first).group(1).replace("&amp;", "&")
    rest = re.findall(r'href="/ada/(m\d\d)"', home.page(more))
    assert sorted(found + rest) == [f"m{n:02}" for n in range(35)]
    assert 'rel="prev"' in home.page(more)
    chosen = home.page("/models?pipeline_tag=text-generation")
    assert "17 repositories" in chosen
    assert len(re.findall(r'href="/ada/m\d\d"', home.page("/models?q=m07"))) == 1
    assert "Nothing matches" in home.page("/models?q=zebra")


NONSENSE = f"""
/models?sort=beauty /models?cursor=%00 /models?q={"x" * 300} /ada/model/commits/main?page=0
/ada/model/commits/main?page=-1 /ada/model/commits/main?page=x
/ada/model/commits/main?page=99999999 /ada/model/commits/main?page=1e3
/ada/model/commits/main?page=%C2%B2
/ada/model/tensors/main?sort=x /ada/model/tensors/main?order=x /ada/model/tensors/main?dtype=F7
/ada/model/tensors/main?role=hero
"""


@pytest.mark.parametrize("path", NONSENSE.split())
def test_a_query_that_makes_no_sense_is_a_400_with_a_page(furnished, path):
    assert "That does not work" in furnished.page(path, status=400)


MISSING = """
/nobody /ada/nothing /datasets/ada/model /ada/model/tree/nope /ada/model/tree/main/nope
/ada/model/blob/main/nope /ada/model/tree/main/notes.txt /ada/model/tree/main/nope/x
/ada/model/commit/0000000000000000000000000000000000000000 /ada/model/commits/main?page=7
/ada/model/tensors/main?page=7 /-/x /a..b/x /ada/model/blob/main/%00 /ada/model/tree/main/a%0Ab
/ada/model/tree/%2e%2e%2fx /ada/model/nonsense/x /ada/model/tree/main/%F0%9F%98%80
/ada/model/tree/main/%2e%2e/x
"""


@pytest.mark.parametrize("path", MISSING.split())
def test_what_is_not_there_is_a_404_with_a_page(furnished, path):
    assert "Nothing here" in furnished.page(path, status=404)


def test_bytes_that_are_no_text_in_a_path_are_a_400(furnished):
    furnished.page("/ada/model/tree/main/%ff%fe", status=400)


def test_a_folder_asked_for_as_a_file_leads_to_its_listing(furnished):
    response = furnished.client.get(
        "/ada/model/blob/main/weights", headers=HTML, follow_redirects=False
    )
    assert response.status_code == 302
    assert response.headers["location"] == "/ada/model/tree/main/weights"


def test_a_branch_with_a_slash_is_one_segment_everywhere(home):
    repo = _model(home)
    uid = home.house.catalog.repos.get(repo).uid
    head = home.house.catalog.history.resolve(uid, "main")
    home.house.catalog.history.create_ref(uid, "refs/heads/fix/one", head.id)
    html = home.page("/ada/model/tree/fix%2Fone/weights")
    assert 'href="/ada/model/blob/fix%2Fone/weights/model.safetensors"' in html
    for tab in ("commits", "tensors", "storage", "card"):
        home.page(f"/ada/model/{tab}/fix%2Fone")


def test_the_files_page_says_size_kind_and_last_change(home):
    repo = _model(home)
    home.commit(repo, {"notes.txt": b"newer"}, title="Rewrite the notes")
    html = home.page("/ada/model/tree/main")
    assert "Rewrite the notes" in html
    assert 'href="/ada/model/resolve/main/notes.txt"' in html
    inner = home.page("/ada/model/tree/main/weights")
    assert "LFS" in inner


def test_a_commit_says_what_it_added_changed_and_removed(home):
    repo = _model(home)
    changed = home.commit(repo, {"notes.txt": b"longer than before, much longer"}, title="Edit")
    html = home.page(f"/ada/model/commit/{changed.id}")
    assert "1 change" in html
    assert '<span class="mark changed">' in html
    assert "11 B → 31 B" in html


def test_a_commit_leads_to_its_proof_in_the_log_once_it_is_there(home):
    repo = _model(home)
    made = home.commit(repo, {"logged.txt": b"x"}, title="Log")
    page = f"/ada/model/commit/{made.id}"
    assert "No entry of its own yet" in home.page(page)
    number = settle(home.house) - 1
    assert f"log entry {number}" in home.page("/ada/model")
    html = home.page(page)
    assert f"Entry {number}: what was published" in html
    address = re.search(r'href="([^"]+/log/[^"]+)"', html)[1]
    assert home.client.get(address).json()["number"] == number


def test_the_tensor_table_counts_filters_and_sorts(furnished):
    html = furnished.page("/ada/model/tensors/main")
    assert "16 parameters; 3 tensors in all" in html
    assert "bert" in html
    rows = re.findall(
        r'class="name" data-value="([^"]+)"',
        furnished.page("/ada/model/tensors/main?sort=name&order=desc"),
    )
    assert rows[0] == "head.bias"
    filtered = furnished.page("/ada/model/tensors/main?q=layer.1")
    assert "1 of 3 tensors" in filtered
    assert "head.<wbr>bias" not in filtered
    assert "1 of 3 tensors" in furnished.page("/ada/model/tensors/main?dtype=BF16")


def test_a_file_alone_does_not_deny_the_configuration_beside_it(furnished):
    html = furnished.page("/ada/model/blob/main/weights/model.safetensors")
    assert "Not stated" in html
    assert "the tab Tensors reads the config beside it" in html
    assert "no config.json" not in html


def test_a_broken_checkpoint_is_named_with_the_reason(home):
    home.repo("ada/broken", {"model.safetensors": b"\xff" * 64, "x.bin": b"PK\x03\x04junk"})
    html = home.page("/ada/broken/tensors/main")
    assert "Not read" in html
    assert "model.safetensors" in html
    assert "could not be read" in home.page("/ada/broken/blob/main/model.safetensors")


def test_binary_and_oversized_text_files_are_described_not_dumped(home):
    home.repo("ada/odd", {"a.dat": b"\x00\x01" * 500, "big.log": b"line\n" * 100_000, "empty": b""})
    assert "not text" in home.page("/ada/odd/blob/main/a.dat")
    big = home.page("/ada/odd/blob/main/big.log")
    assert "Only the first" in big
    assert len(big) < 600_000
    assert "empty" in home.page("/ada/odd/blob/main/empty")


def test_a_readme_too_large_to_render_is_linked_instead(home):
    home.repo("ada/long", {"README.md": b"word " * 60_000})
    assert "too large to show here" in home.page("/ada/long")


def test_the_storage_page_shows_what_sharing_saves(home):
    repo = _model(home)
    home.commit(repo, {"copy.safetensors": TENSORS}, title="The same again")
    html = home.page("/ada/model/storage/main")
    assert 'role="img"' in html
    assert "<desc" in html
    assert "The same again" in html


def test_the_storage_page_says_when_all_was_read_back_and_what_is_damaged(home):
    repo = _model(home)
    assert "Every 30 days this hub reads back" in home.page("/ada/model/storage/main")
    verify_due(home.house, 1e9, lambda: True)
    home.house.store.rounds.put(replace(home.house.store.rounds.get(), began_us=1))
    verify_due(home.house, 1.0, lambda: True)
    html = home.page("/ada/model/storage/main")
    assert "the last round ended" in html
    assert "cannot be read whole" not in html
    record = home.house.catalog.repos.get(repo)
    tree = home.house.catalog.history.resolve(record.uid, "main").tree
    blob = home.house.catalog.history.manifest(tree).entries["config.json"].blob
    home.house.store.local_path(blob.digest).unlink()
    html = home.page("/ada/model/storage/main")
    assert "1 file cannot be read whole:</strong> <code>config.<wbr>json</code>" in html


def test_datasets_and_spaces_have_their_own_pages(home):
    home.repo("ada/tides", {"data.csv": b"a,b\n"}, kind=RepoType.DATASET)
    home.repo("ada/demo", {"index.html": b"<p>hi</p>"}, kind=RepoType.SPACE)
    assert "--repo-type dataset" in home.page("/datasets/ada/tides")
    home.page("/datasets/ada/tides/tree/main")
    assert "&lt;p&gt;hi" in home.page("/spaces/ada/demo/blob/main/index.html")


def test_a_gated_repo_keeps_its_pages_to_those_let_in(home):
    repo = _model(home)
    home.house.catalog.repos.update(repo, gated="manual")
    assert "Please sign in" in home.page("/ada/model/tree/main", status=401)
    answer = home.client.get("/ada/model/tree/main", headers=HTML)
    assert "www-authenticate" not in answer.headers
    page = home.page("/ada/model/tree/main", token=home.stranger_token, status=403)
    assert "Ask first" in page
    home.page("/ada/model/tree/main", token=home.token)


def test_static_files_are_cached_for_ever_under_their_hash_only(furnished):
    address = re.search(r'href="(/static/[^"]+\.css)"', furnished.page("/")).group(1)
    current = furnished.client.get(address)
    assert current.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert current.headers["content-type"].startswith("text/css")
    old = furnished.client.get("/static/000000000000/cairn.css")
    assert old.headers["cache-control"] == "no-cache"
    assert furnished.client.get("/static/0/..%2f..%2fconfig.py").status_code == 404
    assert furnished.client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


def test_a_path_prefix_of_the_public_url_is_on_every_link(tmp_path):
    with open_home(tmp_path, public_url="https://models.example/cairn") as home:
        _model(home)
        for path in ("/ada/model", "/models", "/ada/model/tree/main", "/ada/model/storage/main"):
            html = home.page(f"/cairn{path}")
            for link in re.findall(r'(?:href|src|action)="(/[^"]*)"', html):
                assert link.startswith("/cairn/"), (path, link)


def test_an_unexpected_error_is_a_page_with_an_id_and_nothing_else(home, monkeypatch):
    def fail(*_args, **_options):
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(type(home.house.catalog.repos), "search", fail)
    answer = home.client.get("/models", headers={**HTML, "x-request-id": "find-me"})
    assert answer.status_code == 500
    assert "Our mistake" in answer.text
    assert "find-me" in answer.text
    assert "secret detail" not in answer.text
    plain = home.client.get("/models", headers={"accept": "application/json"})
    assert (plain.status_code, "internal error" in plain.json()["error"]) == (500, True)


@pytest.mark.parametrize("tab", [tab for tab in default_revision.TABS if tab != "training"])
def test_a_page_without_a_revision_leads_to_that_of_the_default_branch(home, tab):
    home.repo("ada/model", {"README.md": b"# A model\n"})
    home.repo("ada/hidden", {"README.md": b"# A model\n"}, private=True)
    answer = home.client.get(f"/ada/model/{tab}?page=1", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/ada/model/{tab}/main?page=1",
    )
    home.page(f"/ada/model/{tab}/main")
    home.page(f"/ada/hidden/{tab}", status=404)


def test_python_that_loads_a_model_has_the_class_of_its_task_and_the_base_of_an_adapter(home):
    for name, library, base in (
        ("whole", "transformers", "ada/parent"),
        ("adapter", "peft", "ada/parent"),
        ("odd", "peft", '"ada/x\\")"'),
    ):
        front = f"library_name: {library}\npipeline_tag: text-classification\nbase_model: {base}\n"
        home.repo(f"ada/{name}", {"README.md": f"---\n{front}---\n".encode()})
    loads = "AutoModelForSequenceClassification.from_pretrained(&#34;ada/{}&#34;)"
    assert loads.format("whole") in home.page("/ada/whole")
    html = home.page("/ada/adapter")
    assert loads.format("parent") in html
    assert "PeftModel.from_pretrained(base, &#34;ada/adapter&#34;)" in html
    assert "Load in Python" not in home.page("/ada/odd")
