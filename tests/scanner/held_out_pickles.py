"""Attacks by pickle that were thought up after the scanner was written, to see what it lets by.

Other gadgets, encodings and tricks than those of `pickle_cases`; all arguments are inert.
"""

import base64
import pickle
import random
import struct

from cairn.domain import Verdict
from tests.scanner.archive_assembly import npy, torch_zip, zipped
from tests.scanner.pickle_assembly import STOP, SYSTEM, TRUE, called, named, program, raw, text
from tests.scanner.pickle_cases import CLEAN, MALFORMED, MALICIOUS, SUSPICIOUS, Case, case


def _calls(*names: str) -> list[bytes]:
    pairs = [name.split(":") for name in names]
    return [program(called(module, name)) for module, name in pairs]


_HUGE = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
_LINEAR = named("torch.nn.modules.linear", "Linear") + b")\x81"
_LONG = b"\x8a" + bytes([len(SYSTEM)]) + SYSTEM
_ENDLESS = b"\x80\x04]\x94" + b"h\x00a" * 60 + STOP

CASES = [
    case(
        "HELD-length",
        "values of 2**40 bytes, asked for in nine",
        MALFORMED,
        program(called("builtins", "bytearray", _HUGE)),
        program(called("builtins", "bytes", _HUGE)),
        program(called("builtins", "list", called("builtins", "range", _HUGE))),
        program(called("collections", "deque", called("builtins", "range", b"K\x01", _HUGE))),
        program(called("numpy", "ndarray", b"(" + _HUGE + b"K\x02t", text("u1"))),
    ),
    case(
        "HELD-digits",
        "numbers of 10**8 digits",
        MALFORMED,
        program(called("fractions", "Fraction", text("1e999999999"))),
        program(called("builtins", "int", called("decimal", "Decimal", text("1e99999999")))),
    ),
    case("HELD-back", "a list that holds itself sixty times", MALFORMED, _ENDLESS),
    case(
        "HELD-constructors",
        "types that are only ever named, or made empty, called",
        SUSPICIOUS,
        program(called("torch", "FloatTensor", _HUGE)),
        program(called("torch.storage", "UntypedStorage", _HUGE)),
        program(called("transformers.training_args", "TrainingArguments", text("/tmp/x"))),
        program(called("accelerate.utils.dataclasses", "DeepSpeedPlugin", text("/etc/passwd"))),
        program(called("accelerate.state", "PartialState")),
    ),
    case(
        "HELD-empty",
        "the same made empty and given their state",
        CLEAN,
        program(named("transformers.training_args", "TrainingArguments") + b")\x81}b"),
        program(named("accelerate.state", "PartialState") + b")\x81}b"),
        program(named("torch", "FloatStorage")),
    ),
    case(
        "HELD-encodings",
        "a pickle in base85, base32, or two layers of base64",
        SUSPICIOUS,
        program(text(base64.b85encode(SYSTEM).decode())),
        program(text(base64.a85encode(SYSTEM).decode())),
        program(text(base64.b32encode(SYSTEM).decode())),
        program(text(base64.b64encode(base64.b64encode(SYSTEM)).decode())),
        program(raw(base64.b64encode(SYSTEM.hex().encode()))),
    ),
    case(
        "HELD-logger",
        "the root logger silenced, or given handlers",
        MALICIOUS,
        program(called("logging", "getLogger", text("root")) + b"N}" + text("a") + b"\x88s\x86b"),
        program(called("logging", "getLogger", text("x")) + b"}(" + text("handlers") + b"]ub"),
    ),
    case(
        "HELD-python2",
        "functions of Python 2",
        MALICIOUS,
        *_calls("commands:getoutput", "popen2:popen3", "posixfile:open", "user:x"),
        b"c__builtin__\nreduce\n(S'a'\ntR.",
    ),
    case(
        "HELD-stdlib",
        "gadgets of the standard library that no list of attacks has",
        MALICIOUS,
        *_calls(
            *("zipimport:zipimporter", "_imp:create_dynamic", "_posixsubprocess:fork_exec"),
            *("compileall:compile_file", "ensurepip:_run_pip", "venv:create", "tarfile:open"),
            *("sqlite3:connect", "xmlrpc.client:ServerProxy", "signal:raise_signal", "os:_exit"),
            *("faulthandler:_sigsegv", "resource:setrlimit", "gc:get_objects", "atexit:register"),
            *("threading:Thread", "asyncio:run", "pstats:Stats", "dbm.dumb:open", "site:main"),
            *("mailcap:findmatch", "turtle:write_docstringdict", "doctest:debug_script"),
            *("concurrent.futures.process:_sendback_result", "lib2to3.main:main"),
        ),
    ),
    case(
        "HELD-frameworks",
        "functions of frameworks that load, write or compile",
        MALICIOUS,
        *_calls(
            *("numpy:fromfile", "numpy:memmap", "pandas:read_pickle", "torch.jit:load"),
            *("torch.onnx:export", "scipy.io:loadmat", "ray.cloudpickle:loads", "nltk:download"),
            *("flax.serialization:from_bytes", "yaml:unsafe_load", "hydra.utils:instantiate"),
            *("spacy.cli:download", "networkx.readwrite:read_gpickle"),
            *("statsmodels.iolib.smpickle:load_pickle", "distributed.utils:import_file"),
            *("torch.nn.modules.module:Module.register_forward_hook", "cv2:imread"),
        ),
    ),
    case(
        "HELD-hook",
        "a layer of torch whose forward pass is os.system",
        MALICIOUS,
        program(
            _LINEAR
            + b"}("
            + text("forward")
            + called("functools", "partial", named("os", "system"), TRUE)
            + b"ub"
        ),
    ),
    case(
        "HELD-class",
        "attributes of a class itself set, for the whole process",
        MALICIOUS,
        program(named("collections", "OrderedDict") + b"}" + text("get") + text("x") + b"sb"),
        program(
            named("torch.nn.modules.linear", "Linear")
            + b"N}"
            + text("forward")
            + named("builtins", "list")
            + b"s\x86b"
        ),
    ),
    case(
        "HELD-spelling",
        "names with line ends, blanks and zeros about them",
        SUSPICIOUS,
        b"cos\r\nsystem\r\n(S'true'\r\ntR.",
        b"cos \nsystem\n(S'true'\ntR.",
        b"\x80\x04" + text("os\0") + text("system") + b"\x93" + TRUE + b"\x85R.",
    ),
    case(
        "HELD-late",
        "a payload behind 600,000 opcodes",
        MALICIOUS,
        b"\x80\x04" + b"N0" * 300_000 + SYSTEM[2:],
    ),
    case(
        "HELD-newobj",
        "a program started by NEWOBJ_EX",
        MALICIOUS,
        program(named("subprocess", "Popen") + b"(" + TRUE + b"t}\x92"),
    ),
    case(
        "HELD-script",
        "classes of TorchScript in archives that are none",
        SUSPICIOUS,
        zipped({"x/data.pkl": program(called("__torch__.os", "system"))}),
        zipped({"a.npy": npy("'|O'", program(called("__torch__.a", "B")))}),
    ),
    case(
        "HELD-storage",
        "a pickle in the place of a tensor, behind opcodes that do nothing",
        MALICIOUS,
        torch_zip(**{"archive/data/1": SYSTEM}),
        torch_zip(**{"archive/data/1": b"\x80\x02" + b"N0" * 700_000 + SYSTEM[2:]}),
    ),
    case(
        "HELD-blanks",
        "white space before a pickle, where unpicklers stop",
        Verdict.UNREAD,
        b"\n\n" + SYSTEM,
        b" " + SYSTEM,
    ),
    case(
        "HELD-long",
        "a pickle in the bytes of a number, in either order, called by nobody",
        SUSPICIOUS,
        program(b"\x8b" + struct.pack("<I", len(SYSTEM)) + SYSTEM),
        program(b"\x8b" + struct.pack("<I", len(SYSTEM)) + SYSTEM[::-1]),
        program(_LONG),
        f"L{int.from_bytes(SYSTEM, 'big')}L\n.".encode(),
    ),
    case(
        "HELD-reversed",
        "a pickle in base64 or hex that is spelled backwards",
        SUSPICIOUS,
        program(text(base64.b64encode(SYSTEM).decode()[::-1])),
        program(text(SYSTEM.hex()[::-1])),
        program(text(base64.b64encode(base64.b64encode(SYSTEM)[::-1]).decode())),
    ),
    case(
        "HELD-numbers",
        "seeds and states of generators, which are long numbers",
        CLEAN,
        program(b"\x8a\x10" + bytes(range(1, 17))),
        pickle.dumps(random.Random(0).getstate()),
        pickle.dumps([1 << 127, -(1 << 200), 2**521 - 1]),
    ),
    Case(
        "HELD-words",
        "lists of programs, and bytes that name nothing",
        CLEAN,
        {"requirements.txt": b"isympy\nsympy\n", "vocab.txt": b"cast\ncell\n", "w": b"cos\nx\n"},
    ),
    case(
        "HELD-npz",
        "objects in npz, which begins with an opcode",
        CLEAN,
        **{"a.npz": zipped({"a.npy": npy("'|O'", b"\x80\x04]\x94N\x61.")})},
    ),
]
