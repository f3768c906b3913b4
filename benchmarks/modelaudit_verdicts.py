"""Prints modelaudit's exit code for the file on each line of standard input.

Run by the Python that modelaudit is installed for: its command, started once, since a start takes
two seconds.
"""

import sys

from click.testing import CliRunner
from modelaudit.cli import cli

for line in sys.stdin:
    done = CliRunner().invoke(cli, ["scan", "--no-cache", line.rstrip("\n")])
    print(done.exit_code, flush=True)
