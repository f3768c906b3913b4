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
_STARTING_PREFIXES = ("os.exec", "os.spawn")
_PROGRAMS = "subprocess."
_PROGRAM_STARTERS = frozenset(
    f"subprocess.{name}"
    for name in (
        *("Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"),
    )
)
# Modules of which a script that computes the name it uses hides what it uses.
_POWERFUL = frozenset(("os", "posix", "nt", "subprocess", "builtins", "ctypes", "pty", "?"))
# What libraries of wrappers name without any harm meant.
_HANDED_ON = frozenset(("ctypes.CDLL", "pickle.loads", "_pickle.loads"))
_RUNNING = frozenset(("system", "popen", "exec", "eval", "run", "Popen", "spawn", "execv", "?"))
_REACHES = frozenset(
    (
        *("builtins.eval", "builtins.exec", "builtins.compile", "socket.socket"),
        *("socket.create_connection", "urllib.request.urlopen", "urllib.request.urlretrieve"),
        *("urllib.urlopen", "urllib2.urlopen", "requests.get", "requests.post", "httpx.get"),
        *("httpx.post", "http.client.HTTPConnection", "http.client.HTTPSConnection"),
        *("pickle.load", "_pickle.load", "dill.load", "cloudpickle.load", "joblib.load"),
        *("pandas.read_pickle", "numpy.load", "torch.load", "shelve.open", "runpy.run_module"),
        *("code.InteractiveInterpreter", "code.InteractiveConsole", "types.FunctionType"),
        *("types.CodeType", "torch.utils.cpp_extension.load", "webbrowser.open"),
        *("torch.utils.cpp_extension.load_inline", "importlib.machinery.SourceFileLoader"),
        *("operator.methodcaller", "shutil.copy", "shutil.copyfile", "shutil.move", "os.putenv"),
        *("builtins.open to write", "builtins.__import__", "zipimport.zipimporter"),
        *("?.__subclasses__", "?.__globals__", "?.__builtins__", "?.__code__"),
        *("ftplib.FTP", "smtplib.SMTP", "shutil.rmtree", "os.remove", "os.unlink", "os.rmdir"),
    )
)


class PythonCalls(Rule):
    """The Python source starts programs, unpickles, or reaches out.

    Loaders import code of a repo when the user says `trust_remote_code`, and servers import the
    handlers of an archive. What stands outside functions runs at that moment, whatever the model
    is used for. Inside functions of a script beside the weights, and in cells of a notebook, it is
    worth a look only; inside an archive somebody else calls it. Read the source before it is
    loaded.
    """

    name: ClassVar[str] = "python-calls"
    title: ClassVar[str] = "Source that runs programs"
    version: ClassVar[int] = 3
    about: ClassVar[tuple[type[Evidence], ...]] = (PythonCall,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each call, worse where nobody has to ask for it."""
        assert isinstance(evidence, PythonCall)
        in_archive = bool(evidence.place.members) and not evidence.in_cell
        called_by_others = evidence.at_import or in_archive
        if _starts(evidence):
            verdict = Verdict.MALICIOUS if called_by_others else Verdict.SUSPICIOUS
        elif evidence.name in _REACHES and evidence.called and called_by_others:
            verdict = Verdict.SUSPICIOUS
        else:
            return
        later = "in a cell" if evidence.in_cell else "in a function"
        when = "when it is imported" if evidence.at_import else later
        yield Finding(
            self.name,
            verdict,
            f"{'calls' if evidence.called else 'hands on'} {evidence.name} {when}",
            evidence.place,
            "Read the source before anything loads it",
        )


def _starts(evidence: PythonCall) -> bool:
    """Whether it runs programs or code, as far as its name is known."""
    name = evidence.name
    owner, _, last = name.rpartition(".")
    if owner in _POWERFUL and last in _RUNNING and "?" in name:
        return True
    if not evidence.called:
        return name in (_STARTS | _PROGRAM_STARTERS) - _HANDED_ON
    return name in _STARTS or name.startswith((*_STARTING_PREFIXES, _PROGRAMS))
