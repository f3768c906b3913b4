"""Attacks through containers: archives, arrays and compressed files with pickles in them."""

import base64
import bz2
import gzip
import lzma
import struct
import zipfile
import zlib

from tests.scanner.archive_assembly import (
    MAGIC_NUMBER,
    STATE_DICT,
    flagged,
    npy,
    patched,
    tarred,
    torch_zip,
    with_array,
    zipped,
)
from tests.scanner.pickle_assembly import SYSTEM, called, program, text
from tests.scanner.pickle_cases import CLEAN, MALFORMED, MALICIOUS, SUSPICIOUS, case

_EVIL = torch_zip(SYSTEM)
_SMALL = b"\x80\x02K\x01."


def _nested(levels: int) -> bytes:
    data = SYSTEM
    for level in range(levels):
        data = zipped({f"{level}.zip": data})
    return data


def _bomb() -> bytes:
    return zipped({"archive/data/0": bytes(200 << 20)}, zipfile.ZIP_DEFLATED)


def _wrong_checksum() -> bytes:
    crc = struct.pack("<I", zlib.crc32(SYSTEM))
    return patched(_EVIL, (crc, b"\1\2\3\4"))


def _other_name_inside() -> bytes:
    first = _EVIL.index(b"archive/data.pkl")
    return _EVIL[:first] + b"archive/datap.kl" + _EVIL[first + 16 :]


def _duplicate() -> bytes:
    data = zipped({"archive/data.pkl": SYSTEM, "archive/datb.pkl": STATE_DICT})
    return data.replace(b"datb.pkl", b"data.pkl")


def _encrypted() -> bytes:
    return flagged(zipped({"archive/data.pkl": bytes(range(7, 207))}), 0x1)


def _agent(key: str) -> bytes:
    """A model of Stable-Baselines3 whose settings hold a pickle under a key."""
    settings = f'{{"policy": {{":type:": "x", "{key}": "{base64.b64encode(SYSTEM).decode()}"}}}}'
    return zipped({"data": settings.encode()})


def _script(line: str) -> bytes:
    """A TorchScript archive whose code has a line."""
    code = (
        f"class Net(Module):\n  def forward(self: __torch__.Net, x: Tensor) -> Tensor:\n  {line}\n"
    )
    members = {"s/data.pkl": b"\x80\x02}q\x00.", "s/constants.pkl": b"\x80\x02)."}
    return zipped({**members, "s/code/__torch__.py": code.encode()})


def _legacy(*last: bytes) -> bytes:
    return MAGIC_NUMBER + b"\x80\x02M\xe9\x03." + b"\x80\x02}q\x00." + b"".join(last)


CASES = [
    case("TZ-000", "a state dict as torch saves it", CLEAN, torch_zip()),
    case("TZ-001", "os.system in data.pkl", MALICIOUS, _EVIL),
    case(
        "TZ-002",
        "a second pickle under another name",
        MALICIOUS,
        torch_zip(**{"archive/extra/cfg.p": SYSTEM}),
        torch_zip(**{"archive/data/1": SYSTEM}),
        torch_zip(**{"archive/data/1": b"N0" * 3000 + SYSTEM[2:]}),
    ),
    case(
        "TZ-003", "a local name that differs from the directory's", MALICIOUS, _other_name_inside()
    ),
    case(
        "TZ-004",
        "flags of encryption and patches on plain members",
        MALICIOUS,
        *(flagged(_EVIL, bits) for bits in (0x1, 0x20, 0x40, 0x61)),
    ),
    case("TZ-005", "a wrong CRC-32", MALICIOUS, _wrong_checksum()),
    case(
        "TZ-010",
        "a tar of before torch 0.2",
        MALICIOUS,
        tarred({"sys_info": _SMALL, "pickle": SYSTEM, "storages": _SMALL, "tensors": _SMALL}),
    ),
    case(
        "TZ-014",
        "TorchScript code that reaches files, Python, or a library",
        SUSPICIOUS,
        *map(
            _script,
            (
                'torch.save([x], "f")',
                'y = torch . from_file("f")',
                'ops.aten.from_file("f")',
                "y = ops.acme.run(x)",
                "y = ^Function(1)(x)",
                "t = torch\n  t.save(x)",
                '"prim::PythonOp"',
            ),
        ),
    ),
    case("TZ-script", "TorchScript code that computes", CLEAN, _script("y = torch.add(x, x)")),
    case(
        "TZ-011",
        "the fourth or fifth of torch's stacked pickles",
        MALICIOUS,
        _legacy(SYSTEM, b"\x80\x02]q\x00."),
        _legacy(b"\x80\x02}q\x00.", SYSTEM),
    ),
    case(
        "TZ-012",
        "a magic number that is computed",
        MALICIOUS,
        program(called("builtins", "eval", text("0x1950a86a20f9469cfc6c")))
        + _legacy(SYSTEM)[len(MAGIC_NUMBER) :],
    ),
    case(
        "TZ-015",
        "names that lead out",
        MALICIOUS,
        *(torch_zip(**{name: b"x"}) for name in ("archive/../../../tmp/x", "/tmp/x", "C:\\x")),
    ),
    case("TZ-016", "a bomb", MALFORMED, _bomb()),
    case("TZ-dup", "two members of one name", MALICIOUS, _duplicate()),
    case(
        "TZ-prefix",
        "bytes before and after the archive",
        MALICIOUS,
        b"\x89PNG\r\n\x1a\n" + bytes(100) + _EVIL,
        _EVIL + b"\0" * 50,
        torch_zip() + _EVIL,
        _EVIL + torch_zip(),
    ),
    case(
        "SB3-data",
        "a pickle in the settings of an agent, its key spelled with escapes",
        MALICIOUS,
        _agent(":serialized:"),
        _agent("\\u003aserialized:"),
    ),
    case(
        "TZ-geometry",
        "a tensor that reaches outside its storage",
        MALFORMED,
        torch_zip(STATE_DICT.replace(b"K\x02K\x02\x86q\x08", b"K\x02K\x09\x86q\x08")),
    ),
    case("ARC-003", "zips in zips", MALICIOUS, _nested(3), _nested(12)),
    case("ARC-005", "an encrypted member", SUSPICIOUS, _encrypted()),
    case("NPY-001", "an array of objects", MALICIOUS, npy("'|O'", SYSTEM)),
    case(
        "NPY-002",
        "the same in npz, by any name",
        MALICIOUS,
        zipped({"a.npy": npy("'|O'", SYSTEM)}),
        zipped({"a.npy": npy("'<f4'", bytes(4)), "b.dat": SYSTEM}),
    ),
    case(
        "NPY-003",
        "an object in a field of a record",
        MALICIOUS,
        npy("[('a', '<f4'), ('b', '|O')]", SYSTEM, version=3),
        npy("[('a', [('c', '|O', (2,))])]", SYSTEM, version=2),
    ),
    case("NPY-004", "a pickle named .npy", MALICIOUS, **{"a.npy": SYSTEM}),
    case(
        "NPY-005", "a shape of 2**60", MALFORMED, npy("'<f4'", bytes(4), "(1099511627776, 1048576)")
    ),
    case(
        "NPY-006", "a header longer than the file", MALFORMED, b"\x93NUMPY\x02\0\xf0\xff\xff\xff{}"
    ),
    case("NPY-after", "a pickle after the array", MALICIOUS, npy("'<f4'", bytes(4)) + SYSTEM),
    case(
        "PKL-064",
        "a compressed pickle",
        MALICIOUS,
        gzip.compress(SYSTEM),
        bz2.compress(SYSTEM),
        lzma.compress(SYSTEM),
        zlib.compress(SYSTEM),
        lzma.compress(SYSTEM, lzma.FORMAT_ALONE),
        gzip.compress(_SMALL) + gzip.compress(SYSTEM),
        zlib.compress(SYSTEM, 0),
        zlib.compress(SYSTEM, 9),
    ),
    case("JBL-001", "joblib's zlib", MALICIOUS, zlib.compress(SYSTEM, 3)),
    case(
        "JBL-arrays",
        "an array in the middle of a pickle, padded; another of objects",
        CLEAN,
        with_array("<f8", b"K\x02\x85", b"\x03\xff\xff\xff" + struct.pack("<2d", 1, 2)),
        with_array("|O", b"K\x01\x85", _SMALL),
    ),
    case(
        "JBL-hidden",
        "a pickle behind an array, in one of objects, or in its bytes",
        MALICIOUS,
        with_array("<f8", b"K\x01\x85", bytes(9), SYSTEM[2:]),
        with_array("|O", b"K\x01\x85", SYSTEM),
        with_array("|u1", b"K" + bytes([len(SYSTEM)]) + b"\x85", b"0" + SYSTEM),
    ),
    case(
        "JBL-size",
        "an array longer than the file, or of no type",
        MALFORMED,
        with_array("<f8", b"J\xff\xff\xff\x7f\x85", bytes(9)),
        with_array("huh", b"K\x01\x85", bytes(9)),
        with_array("<f8", b"N", bytes(9)),
    ),
    case(
        "JBL-003",
        "joblib.load of another file",
        MALICIOUS,
        program(called("joblib", "load", text("other.pkl"))),
        program(called("joblib.numpy_pickle", "load", text("other.pkl"))),
    ),
    case(
        "SKO-002",
        "a joblib pickle named .skops",
        MALICIOUS,
        **{"m.skops": SYSTEM, "z.skops": zlib.compress(SYSTEM)},
    ),
    case(
        "ARC-004",
        "a bomb in gzip and xz",
        MALFORMED,
        gzip.compress(bytes(100 << 20)),
        lzma.compress(bytes(100 << 20), preset=0),
    ),
]
