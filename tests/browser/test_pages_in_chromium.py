"""The pages in a real browser: quiet, nothing wider than the window, usable by keyboard."""

import re

import pytest

from cairn.domain import Scope

pytestmark = pytest.mark.browser

MINILM = "/ada/all-MiniLM-L6-v2"
PATHS = [
    "/",
    "/datasets",
    "/models?q=zebra",
    "/ada",
    MINILM,
    f"{MINILM}/tree/main",
    f"{MINILM}/tree/main/notes",
    f"{MINILM}/blob/main/config.json",
    f"{MINILM}/blob/main/vocab.txt",
    f"{MINILM}/blob/main/model.safetensors",
    f"{MINILM}/commits/main",
    f"{MINILM}/compare/main...main",
    f"{MINILM}/tensors/main",
    f"{MINILM}/storage/main",
    f"{MINILM}/security/main",
    f"{MINILM}/weights/main",
    f"{MINILM}/weights/main?base=ada/wide",
    f"{MINILM}/security/main/model.safetensors",
    "/security/rules",
    "/ada/run/training/main",
    "/ada/gated",
    "/ada/risky/security/main",
    "/ada/fresh/security/main",
    "/ada/risky/security/main/bad.pkl",
    "/ada/risky/blob/main/bad.pkl",
    "/ada/wide",
    "/ada/wide/tensors/main",
    f"/ada/{'very-long-name_' * 6}",
    "/login",
    "/api/cairn/docs",
]
WIDTHS = [360, 390, 1440, 1600]
OWN_PAGES = [  # of an administrator
    "/security/appeals",
    "/security/waivers",
    "/settings/recalls",
    "/settings/account",
    "/settings/tokens",
    "/notifications",
    "/ada/risky/security/main/bad.pkl",
    "/ada/gated/access-requests",
]


class Watched:
    """A page that notes every console message, failed request and request elsewhere."""

    def __init__(self, chromium, site, width, scheme="light"):
        self.site = site
        self.context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request):
        if not request.url.startswith(f"{self.site.url}/"):
            self.complaints.append(f"request elsewhere: {request.url}")

    def open(self, path):
        answer = self.page.goto(self.site.url + path, wait_until="load")
        assert answer.status == 200, path
        return self.page


@pytest.fixture
def browse(chromium, site):
    opened = []

    def start(width=1440, scheme="light"):
        opened.append(Watched(chromium, site, width, scheme))
        return opened[-1]

    yield start
    for watched in opened:
        watched.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_quiet_and_fit_their_window(browse, width):
    watched = browse(width)
    for path in PATHS:
        page = watched.open(path)
        too_wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide <= 0, (path, width, too_wide)
    assert watched.complaints == []


@pytest.mark.parametrize("width", (360, 1440))
def test_nothing_sticks_out_of_the_cards_of_pages_for_people_who_decide(chromium, site, width):
    token = site.home.house.catalog.tokens.create("root", f"browser {width}", Scope.WRITE)
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        extra_http_headers={"Authorization": f"Bearer {token}"},
    )
    page = context.new_page()
    for path in OWN_PAGES:
        assert page.goto(site.url + path).status == 200, path
        outside = page.evaluate(
            """() => [...document.querySelectorAll("main .card button, main .card input")]
                .filter((one) => one.getBoundingClientRect().right
                    > one.closest(".card").getBoundingClientRect().right)
                .map((one) => one.outerHTML)"""
        )
        assert outside == [], path
    context.close()


def test_pages_work_without_javascript(chromium, site):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}{MINILM}/tensors/main")
    page.fill("#tensor-filter", "pooler")
    page.click("text=Apply")
    assert "2 of 104 tensors" in page.inner_text("#tensor-count")
    assert page.locator("table.tensors tbody tr").count() == 2
    page.click("th >> text=Name")
    assert "sort=name" in page.url
    assert page.locator("button[data-copy]:visible").count() == 0
    page.goto(f"{site.url}/models")
    page.fill("#q", "minilm")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=minilm**")
    assert page.locator(".repo").count() == 1
    context.close()


def test_the_tensor_table_filters_while_typing_and_sorts_in_place(browse):
    watched = browse()
    page = watched.open(f"{MINILM}/tensors/main")
    assert page.locator("table.tensors tbody tr:visible").count() == 104
    page.locator("#tensor-filter").press_sequentially("layer.3 query")
    assert page.locator("table.tensors tbody tr:visible").count() == 2
    assert page.inner_text("#tensor-count") == "2 of 104 tensors"
    page.fill("#tensor-filter", "")
    page.click("th >> text=Elements")
    page.click("th >> text=Elements")
    assert page.get_attribute("th:has-text('Elements')", "aria-sort") == "descending"
    first = page.get_attribute("table.tensors tbody tr:first-child td.name", "data-value")
    assert first == "embeddings.word_embeddings.weight"
    assert watched.complaints == []


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browse):
    watched = browse()
    page = watched.open(MINILM)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        look = page.evaluate(
            """() => {
                const here = document.activeElement;
                const style = getComputedStyle(here);
                return [here.tagName, here.textContent.trim().slice(0, 20),
                        style.outlineStyle, parseFloat(style.outlineWidth)];
            }"""
        )
        assert look[2] != "none", look
        assert look[3] >= 2, look
        seen.add(look[1])
    assert {"Models", "Datasets", "Card", "Files", "Tensors", "Storage"} <= {
        re.sub(r"\d+$", "", text) for text in seen
    }


def test_cards_are_opened_by_keyboard_with_a_visible_ring(browse):
    page = browse().open("/")
    link = page.locator(".repo h3 a").first
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    ring = link.evaluate("e => getComputedStyle(e, '::after').outlineStyle")
    assert ring == "solid"


def test_menus_open_and_close_by_keyboard(browse):
    page = browse().open(f"{MINILM}/tree/main")
    summary = page.locator("main details.menu summary")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("main .menu .panel a", has_text="feature/wide").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("main .menu .panel").is_visible()
    page.keyboard.press("Enter")
    page.click("main .menu .panel a >> text=feature/wide")
    assert page.url.endswith("/tree/feature%2Fwide")


def test_a_reader_signs_in_and_out(browse, site):
    watched = browse(390)
    page = watched.open("/login")
    page.click("main summary")
    page.fill("#token", site.home.token)
    page.click("text=Sign in with the token")
    assert page.url == f"{site.url}/"
    page.click(".who summary")
    page.click("text=Access tokens")
    assert "laptop" in page.inner_text("main")
    page.click(".who summary")
    page.click("text=Your account")
    assert "this one" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click(".who summary")
    page.click("text=Sign out")
    assert page.locator(".who >> text=Sign in").is_visible()
    assert watched.complaints == []


def test_the_copy_button_copies_the_command(browse, site):
    watched = browse()
    watched.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    page = watched.open(MINILM)
    page.click("[data-copy='use-1']")
    page.wait_for_function(
        "document.querySelector(\"[data-copy='use-1']\").textContent === 'Copied'"
    )
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"export HF_ENDPOINT={site.url}\nhf download ada/all-MiniLM-L6-v2"


def _luminance(colour):
    def linear(value):
        value /= 255
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(v) for v in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


TEXT_COLOURS = """() => {
    const rgb = text => {  // "rgb(1, 2, 3)" or, from color-mix, "color(srgb 0.1 0.2 0.3)"
        const found = text.match(/[\\d.]+/g).map(Number);
        return text.startsWith("color") ? found.map((v, i) => (i < 3 ? v * 255 : v)) : found;
    };
    const ground = element => {
        for (let e = element; e; e = e.parentElement) {
            const colour = rgb(getComputedStyle(e).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest("svg")) continue;
        const style = getComputedStyle(element);
        found.push([rgb(style.color).slice(0, 3), ground(element), parseFloat(style.opacity),
                    element.className + ": " + element.textContent.trim().slice(0, 30)]);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(browse, scheme):
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    watched = browse(1440, scheme)
    for path in (
        MINILM,
        f"{MINILM}/blob/main/config.json",
        f"{MINILM}/tensors/main",
        "/",
        "/login",
    ):
        page = watched.open(path)
        for ink, ground, opacity, what in page.evaluate(TEXT_COLOURS):
            if opacity < 1:
                continue  # heading anchors, shown on hover and focus
            light, dark = sorted((_luminance(ink), _luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (path, what, ink, ground)
