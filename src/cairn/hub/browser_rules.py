"""What browsers are told of every answer: what they may do with it and who may hold it.

Answers that set one of these headers themselves keep their own. Sources: the HTML and Fetch
standards; https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""

from cairn.config import Settings

Headers = tuple[tuple[bytes, bytes], ...]

# Our own pages: nothing from another host, nothing inline, no frames, forms only to us, and no
# text that scripts turn into markup.
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
# Everything else, files of repos above all: an origin of its own, in which nothing runs or loads.
SANDBOX_POLICY = (
    "sandbox; default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_UNUSED_FEATURES = (
    "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), display-capture=(),"
    " encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(),"
    " microphone=(), midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(),"
    " serial=(), usb=(), xr-spatial-tracking=()"
)
HTTPS_ONLY_S = 365 * 24 * 3600  # the least that lists of HTTPS-only hosts ask for

_ALWAYS: Headers = (
    (b"content-security-policy", SANDBOX_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", _UNUSED_FEATURES.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    # Who is told what depends on the caller, the refusal of a private repo included.
    (b"cache-control", b"private, no-cache"),
)


def browser_rules(settings: Settings) -> Headers:
    """The headers of every answer of a hub with these settings.

    Only a `public_url` says for certain that people come over HTTPS: a TLS proxy speaks HTTP to us.
    """
    if (settings.public_url or "").startswith("https:"):
        return (*_ALWAYS, (b"strict-transport-security", b"max-age=%d" % HTTPS_ONLY_S))
    return _ALWAYS
