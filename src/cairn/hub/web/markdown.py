"""How a README becomes HTML that can do no harm: rendered, sanitised, its links made to work.

Markdown is CommonMark with tables, strikethrough and bare links (GitHub's flavour without
task lists). HTML inside it passes an allow-list: no scripts, forms, frames, styles or event
handlers. Relative images and links point into the repo; images from elsewhere are not
loaded (a page makes no request to another host), their text stays.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from urllib.parse import quote, unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup, escape

from cairn.hub.web.code import CLASSES, coloured
from cairn.hub.web.wording import path_url, segment

MAX_README_BYTES = (
    128 << 10
)  # the slowest text found takes about 2 s at this size; real cards have 10 kB
MAX_LINKING_STEPS = 5_000_000  # about 0.2 s; a text that needs more keeps its bare links as text
ID_PREFIX = "card-"  # ids from a card can never be ids of the page around it

_TAG_NAMES = (
    "a abbr b blockquote br caption cite code dd del details div dl dt em figcaption figure h1 h2"
    " h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub"
    " summary sup table tbody td tfoot th thead tr tt u ul var"
)
_ATTRIBUTES = {
    "*": {"id", "title", "align", "lang", "dir"},
    "a": {"href", "name", "aria-label"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
    "details": {"open"},
    "div": {"tabindex", "role", "aria-label"},
}
_CLASSES = {"a": {"anchor"}, "div": {"scroll"}, "span": set(CLASSES), "code": {"block"}}
_SCHEMES = {"http", "https", "mailto"}
# The sanitiser writes every attribute as name="value", with quotes in values escaped.
_IMAGE = re.compile(r'<img(?: [a-z\-]+="[^"]*+")*+ ?/?>')
_ATTRIBUTE = re.compile(r' ([a-z\-]+)="([^"]*+)"')
_SLUG_DROP = re.compile(r"[^\w\- ]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document lies: what its relative links are relative to.

    `root` is the URL path of the repo's page, `revision` as written in the URL, `folder`
    the document's folder in the repo without slashes at the ends.
    """

    root: str
    revision: str
    folder: str = ""

    def file_url(self, path: str) -> str:
        """The page of a file."""
        return f"{self.root}/blob/{segment(self.revision)}/{path_url(path)}"

    def bytes_url(self, path: str) -> str:
        """The bytes of a file."""
        return f"{self.root}/resolve/{segment(self.revision)}/{path_url(path)}"


def render(text: str, place: Place) -> Markup:
    """Safe HTML for a Markdown text without front matter."""
    parser = _parser(bare_links=_linking_steps(text) <= MAX_LINKING_STEPS)
    clean = _cleaner(place).clean(parser.render(text))
    return Markup(_IMAGE.sub(_shown_image, clean))  # noqa: S704 - sanitised two lines above


def _shown_image(found: re.Match[str]) -> str:
    """An image that lost its address, because it lies elsewhere, becomes its words."""
    attributes = dict(_ATTRIBUTE.findall(found.group()))
    if "src" in attributes:
        return found.group()
    words = unescape(attributes.get("alt", "")).strip()
    title = "An image from another site, not loaded"
    return f'<span class="far" title="{title}">{escape(words)}</span>' if words else ""


def _cleaner(place: Place) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=set(_TAG_NAMES.split()),
        clean_content_tags={"script", "style", "template", "noscript", "iframe", "title"},
        attributes={name: set(values) for name, values in _ATTRIBUTES.items()},
        allowed_classes=_CLASSES,
        attribute_filter=_attribute_filter(place),
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener",
        strip_comments=True,
    )


def _attribute_filter(place: Place) -> Callable[[str, str, str], str | None]:
    def filtered(_element: str, attribute: str, value: str) -> str | None:
        if attribute in ("id", "name"):
            return ID_PREFIX + value
        if attribute == "href":
            return _link(value, place)
        if attribute == "src":
            return _image(value, place)
        if attribute == "tabindex":
            return "0"
        if attribute == "role":
            return "region"
        return value

    return filtered


def _link(target: str, place: Place) -> str | None:
    if target.startswith("#"):
        return f"#{ID_PREFIX}{target[1:]}"
    inside = _inside(target, place)
    if inside is None:
        return target if _is_absolute(target) else None
    path, rest = inside
    return (place.file_url(path) if path else place.root) + rest


def _image(target: str, place: Place) -> str | None:
    inside = _inside(target, place)
    return place.bytes_url(inside[0]) if inside and inside[0] else None


def _is_absolute(target: str) -> bool:
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    if parts.scheme == "mailto":
        return True
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _inside(target: str, place: Place) -> tuple[str, str] | None:
    """The repo path a relative target means and its fragment; None when it leads elsewhere."""
    try:
        parts = urlsplit(target.replace("\\", "/"))
    except ValueError:
        return None
    if parts.scheme or parts.netloc:
        return None
    path = unquote(parts.path)
    steps = [] if path.startswith("/") else [s for s in place.folder.split("/") if s]
    for step in path.split("/"):
        if step == "..":
            if steps:
                steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps), f"#{quote(parts.fragment)}" if parts.fragment else ""


def _linking_steps(text: str) -> int:
    """About how many characters the search for bare links looks at.

    From each place where a link may begin it reads to the next space, so a text of nothing
    but `http://a` takes time that grows with its square: 40 s for 128 KiB.
    """
    beginnings = ("//", "mailto:")
    words = text.lower().split()
    return sum(len(word) * sum(word.count(one) for one in beginnings) for word in words)


@lru_cache(maxsize=2)
def _parser(*, bare_links: bool) -> MarkdownIt:
    options = {"html": True, "linkify": True, "highlight": _highlighted}
    parser = MarkdownIt("commonmark", options)
    parser.enable(["table", "strikethrough", *(["linkify"] if bare_links else [])])
    if parser.linkify is not None:
        # Without this `model.py` and `config.md` become links to hosts of that name.
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    parser.core.ruler.push("cairn", _arrange)
    return parser


def _highlighted(text: str, language: str, attributes: str) -> str:
    del attributes  # what follows the language after the fence means nothing here
    return f'<pre><code class="block">{coloured(text, language)}</code></pre>'


def slug(text: str) -> str:
    """The anchor of a heading, as GitHub makes it: lower case, dashes for spaces."""
    return _SLUG_DROP.sub("", text.strip().lower()).replace(" ", "-")[:80]


def _arrange(state: StateCore) -> None:
    """Give headings their anchors and let wide tables scroll in a box of their own."""
    arranged: list[Token] = []
    seen: Counter[str] = Counter()
    for index, token in enumerate(state.tokens):
        if token.type == "heading_open":
            _anchor(token, state.tokens[index + 1], seen)
        if token.type == "table_open":
            arranged.append(
                _html('<div class="scroll" tabindex="0" role="region" aria-label="Table">')
            )
        arranged.append(token)
        if token.type == "table_close":
            arranged.append(_html("</div>"))
    state.tokens = arranged


def _anchor(heading: Token, content: Token, seen: Counter[str]) -> None:
    children = content.children or []
    words = "".join(t.content for t in children if t.type in ("text", "code_inline"))
    anchor = slug(words)
    if not anchor:
        return
    repeat = seen[anchor]
    seen[anchor] += 1
    anchor = f"{anchor}-{repeat}" if repeat else anchor
    heading.attrSet("id", anchor)
    link = f'<a class="anchor" href="#{escape(anchor)}" aria-label="Link to this section">#</a>'
    inline = Token("html_inline", "", 0)
    inline.content = link
    content.children = [*children, inline]


def _html(text: str) -> Token:
    token = Token("html_block", "", 0)
    token.content = f"{text}\n"
    return token
