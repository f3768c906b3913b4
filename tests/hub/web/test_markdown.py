"""What a README may do on a page: look good, link into its repo, and nothing else."""

import re
import time

import pytest

from cairn.hub.web.markdown import MAX_README_BYTES, Place, render

PLACE = Place("/ada/model", "main", "docs")

# https://cheatsheetseries.owasp.org/cheatsheets/XSS_Filter_Evasion_Cheat_Sheet.html and the
# classes of bypass published for Markdown renderers (javascript: links, attribute breaks, mXSS).
ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<img src='x' onerror='alert(1)' style='position:fixed'>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "<a href='\x01javascript:alert(1)'>x</a>",
    "<a href=' &#14; javascript:alert(1)'>x</a>",
    "[a](vbscript:msgbox(1))",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "![a](data:image/svg+xml,<svg onload=alert(1)>)",
    "![a](x\"onerror=\"alert(1))",
    "[a](x 'y\" onmouseover=\"alert(1)')",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<style>*{background:url(https://evil.example)}</style>",
    "<div style='background:url(https://evil.example)'>x</div>",
    "<iframe src=https://evil.example></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=https://evil.example></object><embed src=https://evil.example>",
    "<form action=/logout method=post><button>free money</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<video><source onerror=alert(1)></video>",
    "<details open ontoggle=alert(1)>x</details>",
    "<a href=//evil.example>x</a>",
    "<a href='https:evil.example'>x</a>",
    "<a href=/\\evil.example>x</a>",
    "![x](//evil.example/pixel.png)",
    "![x](https://evil.example/pixel.png)",
    "<img srcset='https://evil.example/p.png 1x'>",
    "<img src=\\\\evil.example\\p.png>",
    "<xss id=x tabindex=1 onactivate=alert(1)></xss>",
    "<p class='notice bad' id=main>look like the page</p>",
    "```\"><script>alert(1)</script>\nx\n```",
    "```python\n<script>alert(1)</script>\n```",
    "# <img src=x onerror=alert(1)>",
    "# \" onclick=alert(1) x=\"",
    "|<script>alert(1)</script>|\n|-|\n|<img src=x onerror=alert(1)>|",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml-stylesheet href='javascript:alert(1)'?>",
]  # fmt: skip

_TAG = re.compile(r"<[^>]*>")


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_in_a_card_leaves_nothing_that_acts(text):
    html = str(render(text, PLACE))
    for found in _TAG.findall(html):
        tag = found.lower()
        name = re.match(r"</?([a-z0-9]+)", tag)
        assert name, tag
        assert name.group(1) not in {
            *("script", "style", "iframe", "object", "embed", "form", "input", "button", "base"),
            *("meta", "link", "svg", "math", "video", "audio", "source", "noscript", "template"),
        }
        assert not re.search(r"\son\w+\s*=", re.sub(r'"[^"]*"', '""', tag)), tag
        assert not re.search(r"\s(style|srcset|srcdoc|action|formaction)\s*=", tag), tag
        for address in re.findall(r'\b(?:href|src)="([^"]*)"', tag):
            assert address.startswith(("/ada/model/", "#card-", "https://", "http://", "mailto:"))
            assert not address.startswith("//")
        for address in re.findall(r'\bsrc="([^"]*)"', tag):
            assert address.startswith("/ada/model/resolve/main/")
        assert 'id="main"' not in tag
        assert "notice" not in tag


def test_relative_links_lead_to_the_repos_own_pages():
    html = str(
        render("[a](guide.md) [b](../config.json#top) [c](/README.md) ![i](img/a b.png)", PLACE)
    )
    assert 'href="/ada/model/blob/main/docs/guide.md"' in html
    assert 'href="/ada/model/blob/main/config.json#top"' in html
    assert 'href="/ada/model/blob/main/README.md"' in html
    html = str(render("![i](img/a%20b.png) <img src='../x.png'>", PLACE))
    assert 'src="/ada/model/resolve/main/docs/img/a%20b.png"' in html
    assert 'src="/ada/model/resolve/main/x.png"' in html


def test_an_image_from_elsewhere_becomes_its_words():
    html = str(render("![a <b> \"c\"](https://evil.example/x.png) <img src='//x/y'>", PLACE))
    assert "a &lt;b&gt; &#34;c&#34;</span>" in html
    assert "evil.example" not in html
    assert "<img" not in html


def test_a_link_cannot_climb_out_of_the_repo():
    html = str(render("[a](../../../../settings/tokens) [b](%2e%2e/%2e%2e/%2e%2e/logout)", PLACE))
    assert 'href="/ada/model/blob/main/settings/tokens"' in html
    assert 'href="/ada/model/blob/main/logout"' in html


def test_a_revision_with_a_slash_stays_one_segment():
    html = str(render("[a](x.md)", Place("/ada/model", "refs/pr/1")))
    assert 'href="/ada/model/blob/refs%2Fpr%2F1/x.md"' in html


def test_links_to_other_hosts_do_not_vouch_for_them():
    html = str(render("[a](https://example.org) https://example.com", PLACE))
    assert html.count('rel="nofollow noopener"') == 2


def test_headings_get_anchors_that_differ_and_cannot_be_ids_of_the_page():
    html = str(render("# Usage\n\n# Usage\n\n[up](#usage)", PLACE))
    assert 'id="card-usage"' in html
    assert 'id="card-usage-1"' in html
    assert 'href="#card-usage"' in html


def test_tables_strikethrough_and_bare_links_work():
    html = str(render("|a|\n|-|\n|~~b~~|\n\nsee https://example.org and model.py", PLACE))
    assert "<td><s>b</s></td>" in html
    assert '<div class="scroll"' in html
    assert 'href="https://example.org"' in html
    assert "model.py</p>" in html


def test_python_in_a_card_is_coloured_and_still_the_same_text():
    html = str(render('```python\nimport os  # a < b\nx = "1"\n```', PLACE))
    assert '<span class="c-word">import</span>' in html
    assert '<span class="c-comment"># a &lt; b</span>' in html


@pytest.mark.parametrize(
    "unit",
    [
        *("[", "<div>", "> ", "`", "[a]: b\n", "|a", "\\", "<!--"),
        *(
            pytest.param(unit, marks=pytest.mark.slow)
            for unit in ("*a ", "![", "<ul><li>", "http://a ")
        ),
    ],
)
def test_the_largest_card_of_one_repeated_piece_renders_in_bounded_time(unit):
    started = time.process_time()
    render(unit * (MAX_README_BYTES // len(unit)), PLACE)
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "text", ['"' * 50_000, '"""' * 20_000, "- " * 50_000, "1." * 50_000, "a:" * 50_000]
)
@pytest.mark.parametrize("language", ["python", "bash", "json", "yaml"])
def test_colouring_takes_time_in_proportion_to_the_text(text, language):
    from cairn.hub.web.code import coloured

    started = time.process_time()
    shown = coloured(text, language)
    assert time.process_time() - started < 3
    assert re.sub(r"<[^>]+>", "", str(shown)) == text.replace('"', "&#34;")


@pytest.mark.parametrize("piece", ["http://a", "<http://", "HTTP://a?", "//a", "mailto:a"])
def test_bare_links_without_end_cost_no_time_that_grows_with_their_square(piece):
    text = (piece * MAX_README_BYTES)[:MAX_README_BYTES]
    began_s = time.perf_counter()
    render(text, PLACE)
    assert time.perf_counter() - began_s < 5.0  # it took 40 s; now a tenth of one


def test_ordinary_bare_links_are_links_however_many():
    text = "see https://example.org/a and https://example.org/b\n" * 500
    assert str(render(text, PLACE)).count('<a href="https://example.org') == 1000
