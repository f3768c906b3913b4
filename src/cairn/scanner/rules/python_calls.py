"""Python source that starts programs or reaches out when it is imported."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.settings import PythonCall
from cairn.scanner.rule import Rule

_STARTS = frozenset(
    (
        *("os.system", "os.popen", "os.startfile", "os.fork", "os.forkpty", "pty.spawn"),
        *("os.posix_spawn", "os.posix_spawnp", "ctypes.CDLL", "ctypes.cdll.LoadLibrary"),
        *("marshal.loads", "marshal.load", "pickle.loads", "_pickle.loads", "dill.loads"),
        *("cloudpickle.loads", "code.interact", "runpy.run_path", "pip.main", "pip._internal.main"),
        *("asyncio.create_subprocess_shell", "asyncio.create_subprocess_exec"),
        *("commands.getoutput", "commands.getstatusoutput", "popen2.popen2"),
    )
)
_STARTING_PREFIXES = ("os.exec", "os.spawn", "subprocess.")
_REACHES = frozenset(
    (
        *("builtins.eval", "builtins.exec", "builtins.compile", "socket.socket"),
        *("socket.create_connection", "urllib.request.urlopen", "urllib.request.urlretrieve"),
        *("urllib.urlopen", "urllib2.urlopen", "requests.get", "requests.post", "httpx.get"),
        *("httpx.post", "http.client.HTTPConnection", "http.client.HTTPSConnection"),
        *("ftplib.FTP", "smtplib.SMTP", "shutil.rmtree", "os.remove", "os.unlink", "os.rmdir"),
    )
)


class PythonCalls(Rule):
    """The Python source starts programs, unpickles, or reaches out.

    Loaders import code of a repo when the user says `trust_remote_code`, and servers import the
    handlers of an archive. What stands outside functions runs at that moment, whatever the model
    is used for. Inside functions of a script beside the weights it is worth a look only; inside
    an archive somebody else calls it. Read the source before it is loaded.
    """

    name: ClassVar[str] = "python-calls"
    title: ClassVar[str] = "Source that runs programs"
    about: ClassVar[tuple[type[Evidence], ...]] = (PythonCall,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each call, worse where nobody has to ask for it."""
        assert isinstance(evidence, PythonCall)
        called_by_others = evidence.at_import or bool(evidence.place.members)
        starts = evidence.name in _STARTS or evidence.name.startswith(_STARTING_PREFIXES)
        if starts:
            verdict = Verdict.MALICIOUS if called_by_others else Verdict.SUSPICIOUS
        elif evidence.name in _REACHES and called_by_others:
            verdict = Verdict.SUSPICIOUS
        else:
            return
        when = "when it is imported" if evidence.at_import else "in a function"
        yield Finding(
            self.name,
            verdict,
            f"calls {evidence.name} {when}",
            evidence.place,
            "Read the source before anything loads it",
        )
