"""`cairn serve` when it cannot."""

import socket
from pathlib import Path

from tests.cli.command import cairn


def test_a_busy_port_is_named_before_any_token_is_shown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        refused = cairn("serve", "--port", port, data=tmp_path / "data", expect=8)
    assert "--port" in refused.stderr
    assert "token" not in refused.stdout
    assert cairn("user", "list", data=tmp_path / "data").stdout.count("admin") == 0
