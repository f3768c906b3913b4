"""`cairn recall`: who has a file."""

import hashlib
import json
from pathlib import Path

from tests.cli.command import cairn
from tests.hub.web.homes import open_home


def test_it_lists_who_has_a_file(tmp_path: Path) -> None:
    content = b"these are weights"
    digest = hashlib.sha256(content).hexdigest()
    with open_home(tmp_path) as home:
        home.repo("ada/m", {"sub/w[b].txt": content})
        home.repo("ada/made", {"README.md": b"---\nbase_model: ada/m\n---\n"})
    text = cairn("recall", digest.upper(), data=tmp_path).stdout
    assert "ada/m: sub/w[b].txt, 1 revision, now in main" in text
    assert "made from ada/m: ada/made" in text
    (told,) = json.loads(cairn("recall", digest, "--json", data=tmp_path).stdout)
    assert told["holdings"][0]["path"] == "sub/w[b].txt"
    assert told["descendants"][0]["base"] == {"type": "model", "repo": "ada/m"}
    assert "nothing" in cairn("recall", "--all", data=tmp_path).stdout
    cairn("recall", "ab" * 32, data=tmp_path, expect=3)
    cairn("recall", "abc", data=tmp_path, expect=2)
    cairn("recall", data=tmp_path, expect=2)
