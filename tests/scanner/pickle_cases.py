"""Attacks on unpicklers and on scanners of pickles: published ones, and others of their kind.

Each has an id, what it does, the verdict it must get, and its files.
"""

import base64
import gzip
import zlib
from dataclasses import dataclass

from cairn.domain import Verdict
from tests.scanner.pickle_assembly import STOP, SYSTEM, TRUE, called, named, program, raw, text

MALICIOUS, SUSPICIOUS = Verdict.MALICIOUS, Verdict.SUSPICIOUS
MALFORMED, CLEAN = Verdict.MALFORMED, Verdict.CLEAN


@dataclass(frozen=True)
class Case:
    """An attack, or a control; `files` by name."""

    id: str
    what: str
    verdict: Verdict
    files: dict[str, bytes]


def case(id_: str, what: str, verdict: Verdict, *files: bytes, **named_files: bytes) -> Case:
    numbered = {f"{number}.pkl": data for number, data in enumerate(files)}
    return Case(id_, what, verdict, numbered | named_files)


def _calls(*names: str) -> list[bytes]:
    """One pickle per name, given as `module:name`, that calls it."""
    pairs = [name.split(":") for name in names]
    return [program(called(module, name)) for module, name in pairs]


def _laughs(levels: int, width: int) -> bytes:
    first = b"]\x94" + b"(" + text("lol") * width + b"e0"
    rest = b"".join(
        b"]\x94(" + (b"h" + bytes([level])) * width + b"e0" for level in range(levels - 1)
    )
    return b"\x80\x04" + first + rest + b"h" + bytes([levels - 1]) + STOP


_CALL = SYSTEM[2:-1]
_LONG = (1 << 62).to_bytes(8, "little")
_GADGETS = (
    *("torch._inductor.codecache:compile_file", "numpy.testing._private.utils:runstring"),
    *("numpy.f2py.crackfortran:getlincoef", "mlflow.projects.backend.local:_run_entry_point"),
    *("pandas.core.computation.eval:eval", "sympy.core.sympify:sympify"),
    "transformers.dynamic_module_utils:get_class_from_dynamic_module",
    "IPython.utils._process_posix:system",
)

CASES = [
    case("PKL-001", "GLOBAL and REDUCE of os.system", MALICIOUS, SYSTEM),
    case("PKL-002", "the same in protocol 0", MALICIOUS, b"cos\nsystem\n(S'true'\ntR."),
    case(
        "PKL-late",
        "a payload far behind opcodes that do nothing, all of it text",
        MALICIOUS,
        b"I1\n0" * 3000 + b"cos\nsystem\n(S'true'\ntR.",
    ),
    case(
        "PKL-003",
        "STACK_GLOBAL with both operands from the memo",
        MALICIOUS,
        b"\x80\x04"
        + text("os")
        + b"\x940"
        + text("system")
        + b"\x940h\x00h\x01\x93"
        + TRUE
        + b"\x85R.",
    ),
    case(
        "PKL-007",
        "DUP supplies both operands",
        MALICIOUS,
        b"\x80\x04" + text("timeit") + b"2\x93" + text("pass") + b"\x85R.",
    ),
    case("PKL-008", "INST of exec", MALICIOUS, b"(S'pass'\ni__builtin__\nexec\n."),
    case(
        "PKL-009",
        "OBJ whose result is discarded",
        MALICIOUS,
        b"\x80\x02(csmtplib\nSMTP\nX\x04\0\0\0trueo0N.",
    ),
    case("PKL-010", "a dotted walk through pathlib", MALICIOUS, *_calls("pathlib:os.system")),
    case(
        "PKL-012",
        "a dotted walk through torch.library",
        MALICIOUS,
        *_calls("torch.library:torch.utils.collect_env.run"),
    ),
    case(
        "PKL-013",
        "BUILD on a function, with numpy.__builtins__",
        MALICIOUS,
        program(named("numpy", "size") + named("numpy", "__builtins__") + b"b"),
    ),
    case("PKL-015", "a payload, then no opcode", MALICIOUS, SYSTEM[:-1] + b"\xff"),
    case("PKL-016", "a payload, then the end", MALICIOUS, SYSTEM[:-1]),
    case("PKL-017", "a second pickle", MALICIOUS, b"\x80\x02]." + SYSTEM),
    case(
        "PKL-018",
        "a second pickle after padding",
        MALICIOUS,
        b"\x80\x02]." + bytes(64) + SYSTEM,
        b"\x80\x02]." + b"\xff" * 64 + SYSTEM,
    ),
    case("PKL-020", "integers of Python 2 first", MALICIOUS, b"I00\n0I01\n0L10L\n0" + _CALL + STOP),
    case(
        "PKL-022",
        "UNICODE operands with escapes",
        MALICIOUS,
        b"\x80\x04V\\u006fs\nV\\u0073ystem\n\x93" + TRUE + b"\x85R.",
    ),
    case(
        "PKL-023",
        "STRING and BINSTRING operands",
        MALICIOUS,
        b"\x80\x04S'\\x6f\\x73'\nT\x06\0\0\0system\x93" + TRUE + b"\x85R.",
    ),
    case(
        "PKL-024",
        "STACK_GLOBAL as the first thing",
        MALICIOUS,
        b"S'os'\nS'system'\n\x93(S'true'\ntR.",
    ),
    case(
        "PKL-025",
        "bytes that reach across their frame",
        MALICIOUS,
        b"\x80\x04\x95\x02"
        + bytes(7)
        + raw(b"N" * 7 + SYSTEM + bytes(0x107 - 7 - len(SYSTEM)))
        + STOP,
        b"\x80\x04\x95\x02" + bytes(7) + raw(bytes(0x107)) + STOP,
    ),
    case(
        "PKL-026",
        "a frame past the end; one inside another",
        MALFORMED,
        b"\x80\x04\x95" + (1000).to_bytes(8, "little") + b"N.",
        b"\x80\x04\x95"
        + (12).to_bytes(8, "little")
        + b"N0\x95"
        + (2).to_bytes(8, "little")
        + b"N.",
    ),
    case("PKL-027", "EXT1 called", MALICIOUS, b"\x80\x02\x82\x01)R."),
    case(
        "PKL-029",
        "a module name that is computed",
        MALICIOUS,
        program(called("codecs", "decode", text("bf"), text("rot13")) + text("system") + b"\x93)R"),
        program(
            called("_codecs", "encode", text("os"), text("latin1")) + text("system") + b"\x93)R"
        ),
    ),
    case(
        "PKL-030",
        "pkgutil.resolve_name",
        MALICIOUS,
        program(called("pkgutil", "resolve_name", text("os:system")) + TRUE + b"\x85R"),
    ),
    case(
        "PKL-031",
        "getattr and import_module",
        MALICIOUS,
        program(
            called(
                "builtins",
                "getattr",
                called("importlib", "import_module", text("os")),
                text("system"),
            )
            + TRUE
            + b"\x85R"
        ),
    ),
    case(
        "PKL-032",
        "attrgetter over __import__",
        MALICIOUS,
        program(
            called("operator", "attrgetter", text("system"))
            + called("builtins", "__import__", text("os"))
            + b"\x85R"
        ),
    ),
    case(
        "PKL-033",
        "partial of os.system, then called",
        MALICIOUS,
        program(called("functools", "partial", named("os", "system"), TRUE) + b")R"),
    ),
    case(
        "PKL-034",
        "a function made of marshalled code",
        MALICIOUS,
        program(
            called("types", "FunctionType", called("marshal", "loads", raw(b"inert")), b"}") + b")R"
        ),
    ),
    case(
        "PKL-035",
        "pickle.loads of bytes",
        MALICIOUS,
        program(called("pickle", "loads", raw(SYSTEM))),
    ),
    case(
        "PKL-036",
        "torch.storage._load_from_bytes",
        MALICIOUS,
        program(called("torch.storage", "_load_from_bytes", raw(SYSTEM))),
    ),
    case(
        "PKL-037",
        "a pickle in base64 or hex text, or in bytes",
        SUSPICIOUS,
        program(text(base64.b64encode(SYSTEM).decode())),
        program(text(SYSTEM.hex())),
        program(raw(SYSTEM)),
        program(raw(base64.b64encode(SYSTEM))),
        program(raw(gzip.compress(SYSTEM))),
        program(text(base64.b64encode(zlib.compress(SYSTEM)).decode())),
    ),
    case(
        "PKL-039", "a class of __main__", SUSPICIOUS, program(named("__main__", "Net") + b")\x81")
    ),
    case(
        "PKL-040",
        "lesser known gadgets of the standard library",
        MALICIOUS,
        *_calls(
            "uuid:_get_command_stdout",
            "_osx_support:_read_output",
            "imaplib:IMAP4_stream",
            "_aix_support:_read_cmd_output",
        ),
    ),
    case(
        "PKL-041",
        "sub-interpreters and test helpers",
        MALICIOUS,
        *_calls(
            "_interpreters:run_string",
            "_xxsubinterpreters:run_string",
            "_testcapi:run_in_subinterp",
        ),
    ),
    case(
        "PKL-042",
        "what spawns processes",
        MALICIOUS,
        *_calls(
            "multiprocessing.util:spawnv_passfds",
            "distutils.spawn:spawn",
            "setuptools._distutils.spawn:spawn",
            "asyncio.unix_events:_UnixSubprocessTransport._start",
        ),
    ),
    case("PKL-043", "gadgets of other packages", MALICIOUS, *_calls(*_GADGETS)),
    case(
        "PKL-045",
        "files written, nothing run",
        MALICIOUS,
        *_calls(
            "logging:FileHandler", "distutils.file_util:write_file", "numpy:savetxt", "torch:save"
        ),
    ),
    case(
        "PKL-046",
        "data carried off, nothing run",
        MALICIOUS,
        *_calls(
            "linecache:getline",
            "ssl:get_server_certificate",
            "pandas.io.parsers.readers:read_csv",
            "urllib.request:urlopen",
        ),
    ),
    case(
        "PKL-047",
        "scanners disarmed",
        MALICIOUS,
        *_calls(
            "fickling.hook:remove_hook",
            "picklescan.scanner:_unsafe_globals.clear",
            "modelaudit.config:set",
        ),
    ),
    case(
        "PKL-048",
        "packages installed",
        MALICIOUS,
        *_calls("pip:main", "pip._internal.cli.main:main"),
    ),
    case(
        "PKL-052",
        "persistent ids in a pickle of its own",
        SUSPICIOUS,
        b"Pstorage\n.",
        program(text("key") + b"Q"),
        program(b"(" + text("storage") + b"tQ"),
    ),
    case("PKL-053", "values that multiply", MALFORMED, _laughs(10, 10)),
    case(
        "PKL-054",
        "200,000 lists in each other",
        MALFORMED,
        b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + STOP,
    ),
    case(
        "PKL-056",
        "lengths of 2**62",
        MALFORMED,
        *(b"\x80\x05" + opcode + _LONG + STOP for opcode in (b"\x8e", b"\x8d", b"\x96")),
    ),
    case(
        "PKL-058",
        "a memo entry never written, first",
        MALICIOUS,
        b"\x80\x02h\x07" + _CALL + STOP,
        b"g7\n" + _CALL + STOP,
    ),
    case(
        "PKL-059",
        "a number as the name of a global, after the payload",
        MALICIOUS,
        program(_CALL, b"K\x01\x94" + text("x") + b"\x93"),
    ),
    case(
        "PKL-060",
        "PROTO where or with what it is not",
        MALICIOUS,
        b"\x80\x09" + _CALL + STOP,
        b"\x80\x02\x80\x04" + _CALL + STOP,
        b"N0\x80\x02" + _CALL + STOP,
    ),
    Case(
        "PKL-062",
        "names that say nothing of a pickle",
        MALICIOUS,
        dict.fromkeys(("model.txt", "README", "data", "weights.PKL"), SYSTEM),
    ),
    Case(
        "PKL-063",
        "a bare pickle named like torch's files",
        MALICIOUS,
        {
            "model.bin": b"cos\nsystem\n(S'true'\ntR.",
            "model.pt": SYSTEM,
            "model.ckpt": _calls("os:system")[0],
        },
    ),
    case(
        "PKL-066",
        "confusable letters",
        SUSPICIOUS,
        *_calls("\uff4f\uff53:system", "\u043es:system"),
    ),
    case("PKL-068", "a method of eval", MALICIOUS, *_calls("builtins:eval.__call__")),
    case("PKL-070", "a buffer from elsewhere", SUSPICIOUS, b"\x80\x05\x97.", b"\x80\x05\x97\x98."),
    case(
        "PKL-072",
        "a list that contains itself",
        CLEAN,
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02}q\x00(X\x01\0\0\0ah\x00u.",
    ),
]
