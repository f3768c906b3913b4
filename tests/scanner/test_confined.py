"""The scanning process finds what the scanner finds, can do little else, and may crash."""

import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cairn.domain import Place
from cairn.errors import IntegrityError
from cairn.formats import BytesSource, FileSource
from cairn.scanner import gather
from cairn.scanner.confined import ScanProcess, fork, spawn
from cairn.scanner.confined.children import Copy
from cairn.scanner.evidence.base import Broken, Unread

# Opcodes written by hand: nothing here is ever unpickled.
SYSTEM = b"cos\nsystem\n(S'true'\ntR."
BIG = pickle.dumps([b"x" * 10_000_000], protocol=4) + b"after"

CHILD = """
import socket, sys, os, time, signal
sys.path[:0] = sys.argv[2:]
from cairn.scanner.confined.wire import Line
from cairn.scanner.evidence.base import Broken
from cairn.scanner.evidence.kinds import encode
from cairn.domain import Place
line = Line(socket.socket(fileno=int(sys.argv[1])))
line.send({"ready": []})
line.receive_file()
note = {"evidence": encode(Broken(Place(), "noted before"))}
line.send(note)
"""


@pytest.fixture(scope="module", params=[spawn, fork])
def process(request: pytest.FixtureRequest) -> Iterator[ScanProcess]:
    with ScanProcess(start=request.param) as running:
        yield running


@pytest.mark.parametrize("data", [SYSTEM, BIG, b"", b"\x00\x01 who knows"])
def test_it_finds_in_files_and_in_other_sources_what_the_scanner_finds(
    process: ScanProcess, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "file").write_bytes(data)
    wanted = gather(BytesSource(data))
    assert process.gather(BytesSource(data)) == wanted
    with FileSource(tmp_path / "file") as source:
        assert process.gather(source) == wanted


def test_it_says_which_limits_hold(process: ScanProcess) -> None:
    process.gather(BytesSource(SYSTEM))
    assert {"no-file-writes", "open-files", "processor-time"} <= set(process.held)


@pytest.mark.parametrize(
    ("misdeed", "why"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed (SIGSEGV)"),
        ("os._exit(3)", "crashed (status 3)"),
        ("line.send({'crash': 'MemoryError'})", "took more memory than it may"),
        ("line.send({'crash': 'RecursionError'})", "crashed (RecursionError)"),
        ("time.sleep(60)", "took too long"),
        ("os.write(int(sys.argv[1]), b'x' * (3 << 20))", "answered what is no evidence"),
        ("os.write(int(sys.argv[1]), b'[' * 100_000 + b'\\n')", "answered what is no evidence"),
        ("line.send({'evidence': {'kind': 'form'}})", "answered what is no evidence"),
        ("line.send({'read': [-5, 10]})", "answered what is no evidence"),
        ("line.send({'read': [0, 1 << 40]})", "answered what is no evidence"),
        ("[line.send(note) for _ in range(21_000)]", "found more than it may note"),
        ("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 9))\nwhile True: pass", ""),
    ],
)
def test_a_file_whose_scan_goes_wrong_is_unread_and_keeps_what_was_noted(
    misdeed: str, why: str
) -> None:
    cpu_s = 0.1 if "sleep" in misdeed else 30
    program = f"{CHILD}\n{misdeed}\ntime.sleep(60)"
    with ScanProcess(cpu_s, partial(spawn, program=program)) as broken:
        found = broken.gather(BytesSource(SYSTEM))
    assert found[0] == Broken(Place(), "noted before")
    assert found[-1] == Unread(
        Place(), f"the scan of the file {why or 'took too much processor time'}"
    )


def test_the_file_after_a_crash_is_scanned(process: ScanProcess) -> None:
    process._process.kill()
    process.gather(BytesSource(SYSTEM))  # it may notice only now
    assert process.gather(BytesSource(SYSTEM)) == gather(BytesSource(SYSTEM))


def test_what_is_wrong_with_the_source_is_said_and_the_next_file_is_scanned(
    process: ScanProcess,
) -> None:
    class Damaged(BytesSource):
        def read_at(self, offset: int, length: int) -> bytes:
            raise IntegrityError("damaged")

    with pytest.raises(IntegrityError):
        process.gather(Damaged(SYSTEM))
    assert process.gather(BytesSource(SYSTEM)) == gather(BytesSource(SYSTEM))


def confined(attempt: str) -> str:
    """The error that `attempt` ends with after the process gave up what it can, or `done`."""
    program = (
        "import sys, os, socket, subprocess; sys.path[:0] = sys.argv[1:]\n"
        "from cairn.scanner.confined.limits import confine\n"
        f"held = confine()\ntry:\n    {attempt}\nexcept BaseException as error:\n"
        "    print(type(error).__name__)\nelse:\n    print('done', *held)"
    )
    folders = [part for part in sys.path if part]
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, *folders], capture_output=True, text=True
    )
    return done.stdout.strip() or str(done.returncode)


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("bytearray(2 << 30)", "MemoryError"),
        ("open('written', 'w').write('x' * 100_000)", "PermissionError"),
        ("os.remove(__import__('json').__file__ + 'x')", "PermissionError"),
        ("os.fork()", "PermissionError"),
        ("subprocess.run(['true'])", "PermissionError"),
        ("os.execv('/bin/true', ['true'])", "PermissionError"),
        ("socket.socket()", "PermissionError"),
        ("os.kill(os.getppid(), 0)", "PermissionError"),
        ("[open('/dev/null') for _ in range(64)].clear()", "OSError"),
    ],
)
@pytest.mark.skipif(
    "system-calls" not in confined("pass"), reason="this kernel lets nobody filter system calls"
)
def test_a_confined_process_cannot(attempt: str, error: str, tmp_path: Path) -> None:
    assert confined(attempt) == error


def test_a_confined_process_can_read_and_import() -> None:
    assert confined("import json, zlib, lzma; open(json.__file__).read()").startswith("done")


COPYING = """
import os, socket, sys, threading
from cairn.scanner.confined import ScanProcess, fork
from cairn.scanner.confined.children import Copy

kept = open(sys.argv[1], "w")
os.environ["SECRET"] = "s3cret"
ours, its = socket.socketpair()

def run():
    its.sendall(repr({what}).encode())

with its:
    child = Copy(run, its.fileno())
    print(ours.recv(1000).decode(), child.wait(20))
"""


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("dict(os.environ)", "{}"),
        ("os.getcwd()", "'/'"),
        ("len(os.listdir('/proc/self/fd')) - 1", "4"),  # one is that of the listing itself
        ("os.readlink('/proc/self/fd/1')", "'/dev/null'"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="copies are for Linux")
def test_a_copy_keeps_the_socket_and_nothing_else(what: str, told: str, tmp_path: Path) -> None:
    program = COPYING.replace("{what}", what)
    assert python(program, str(tmp_path / "kept")) == f"{told} 0"


FORKING = """
from cairn.scanner.confined import ScanProcess, fork, spawn
from cairn.formats import BytesSource

held = []
for start in (spawn, fork):
    with ScanProcess(start=start) as process:
        process.gather(BytesSource(b"N."))
        held.append(process.held)
print(type(process._process).__name__, held[0] == held[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="copies are for Linux")
def test_a_copy_is_held_by_the_limits_of_a_new_interpreter() -> None:
    assert python(FORKING) == "Copy True"


TERMINAL = """
import os, pty, socket, sys
from cairn.scanner.confined.children import Copy, spawn

TRY = '''
import os, socket, sys
line = socket.socket(fileno=int(sys.argv[1]))
try:
    os.open("/dev/tty", os.O_RDONLY)
except OSError as error:
    line.send(os.strerror(error.errno).encode())
else:
    line.send(b"opened")
'''

def told(start):
    ours, its = socket.socketpair()
    child = start(its)
    its.close()
    answer = ours.recv(100).decode()
    child.wait()
    return answer

def copy(its):
    def attempt():
        sys.argv[1:] = [str(its.fileno())]
        exec(TRY, {})
    return Copy(attempt, keep=its.fileno())

pid, terminal = pty.fork()
if pid == 0:
    os.close(os.open("/dev/tty", os.O_RDONLY))  # this one has a terminal
    print(told(lambda its: spawn(its, TRY)), told(copy), sep="; ", flush=True)
    os._exit(0)
said = b""
while b"\\n" not in said:  # a terminal may hand over what was written in pieces
    said += os.read(terminal, 1000)
print(said.decode().strip())
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="copies are for Linux")
def test_a_scanning_process_cannot_open_the_terminal_it_was_started_from() -> None:
    assert python(TERMINAL) == "No such device or address; No such device or address"


def test_with_threads_there_is_no_copy() -> None:
    waiting = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    assert python(f"import threading, time\n{waiting}{FORKING}") == "Popen True"


def python(program: str, *arguments: str) -> str:
    """What a program prints."""
    line = [sys.executable, "-c", program, *arguments]
    return subprocess.run(line, capture_output=True, text=True).stdout.strip()


def test_what_goes_wrong_in_a_copy_ends_it_and_nothing_else(tmp_path: Path) -> None:
    def misbehave() -> None:
        raise ValueError("wrong")

    ours, its = socket.socketpair()
    with ours, its:
        failing = Copy(misbehave, its.fileno())
        waiting = Copy(lambda: time.sleep(60), its.fileno())
    assert failing.wait(20) == 1
    assert waiting.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.01)
    waiting.kill()
    assert waiting.wait(20) == -signal.SIGKILL
    waiting.kill()  # of what ended long ago nothing is left to end
