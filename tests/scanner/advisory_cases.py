"""Published ways past other scanners of models, by advisory or report; arguments are inert.

Advisories: https://github.com/mmaitre314/picklescan/security/advisories and
https://github.com/trailofbits/fickling/security/advisories. Reports on modelscan:
https://github.com/protectai/modelscan/issues. The rest are proofs that were published on Hugging
Face for the bug bounty on model files of 2026; only what they describe is built here.
"""

import io
import json
import tarfile
import zlib

from tests.formats.tensorflow_files import field
from tests.scanner.archive_assembly import npy, torch_zip, with_array, zipped
from tests.scanner.form_cases import (
    CLEAN,
    MALFORMED,
    MALICIOUS,
    SSTI,
    SUSPICIOUS,
    Case,
    entry,
    gguf,
    pair,
    safetensors,
)
from tests.scanner.form_cases import text as gguf_text
from tests.scanner.graph_cases import (
    DENSE,
    external,
    graph,
    hdf5,
    keras,
    layer,
    model,
    node,
    onnx,
    operation,
    saved_model,
    text,
)
from tests.scanner.pickle_assembly import SYSTEM, TRUE, called, named, program, raw
from tests.scanner.pickle_assembly import text as short

# Names that picklescan or fickling took for harmless, by the advisory that says so.
GADGETS = {
    "GHSA-3gf5-cxq9-w223": "idlelib.pyshell:ModifiedInterpreter.runcode",
    "GHSA-3vg9-h568-4w9m": "idlelib.debugobj:ObjectTreeItem.SetText",
    "GHSA-46h3-79wf-xr6c": "_operator:attrgetter",
    "GHSA-4675-36f9-wf6r": "_operator:itemgetter",
    "GHSA-49gj-c84q-6qm9": "cProfile:run",
    "GHSA-4whj-rm5r-c2v8": "torch.utils.bottleneck.__main__:run_autograd_prof",
    "GHSA-5qwp-399c-mjwf": "trace:Trace.run",
    "GHSA-6ggj-6f2q-f7mx": "_interpreters:run_string",
    "GHSA-6vqj-c2q5-j97w": "profile:Profile.runctx",
    "GHSA-6w4w-5w54-rjvr": "idlelib.autocomplete:AutoComplete.get_entity",
    "GHSA-7cq8-mj8x-j263": "idlelib.autocomplete:AutoComplete.fetch_completions",
    "GHSA-7wx9-6375-f5wh": "profile:run",
    "GHSA-84r2-jw7c-4r5q": "_pickle:loads",
    "GHSA-8r4j-24qv-fmq9": "idlelib.calltip:Calltip.fetch_tip",
    "GHSA-955r-x9j8-7rhh": "_operator:methodcaller",
    "GHSA-9726-w42j-3qjr": "numpy.f2py.crackfortran:getlincoef",
    "GHSA-9m3x-qqw2-h32h": "distutils.file_util:write_file",
    "GHSA-9w88-8rmg-7g2p": "cProfile:runctx",
    "GHSA-9xph-j2h6-g47v": "idlelib.calltip:get_entity",
    "GHSA-cj3c-v495-4xqh": "code:InteractiveInterpreter.runcode",
    "GHSA-f54q-57x4-jg88": "lib2to3.pgen2.grammar:Grammar.loads",
    "GHSA-f7qq-56ww-84cr": "asyncio.unix_events:_UnixSubprocessTransport._start",
    "GHSA-fqq6-7vqf-w3fg": "doctest:debug_script",
    "GHSA-g344-hcph-8vgg": "trace:Trace.runctx",
    "GHSA-g38g-8gr9-h9xp": "_osx_support:_read_output",
    "GHSA-j343-8v2j-ff7w": "idlelib.pyshell:ModifiedInterpreter.runcommand",
    "GHSA-m869-42cg-3xwr": "idlelib.run:Executive.runcode",
    "GHSA-p9w7-82w4-7q8m": "lib2to3.pgen2.pgen:ParserGenerator.make_label",
    "GHSA-q77w-mwjj-7mqx": "asyncio.unix_events:_UnixSubprocessTransport._start",
    "GHSA-r7v6-mfhq-g3m2": "pty:spawn",
    "GHSA-565g-hwwr-4pp3": "marshal:loads",
    "GHSA-v7x6-rv5q-mhwc": "timeit:timeit",
    "GHSA-vqmv-47xg-9wpr": "pip._internal:main",
    "GHSA-vvpj-8cmc-gx39": "pkgutil:resolve_name",
    "GHSA-x696-vm39-cp64": "profile:Profile.run",
    "GHSA-xp4f-hrf8-rxw7": "ensurepip:_run_pip",
    "CVE-2026-56304": "logging:FileHandler",
    "CVE-2026-56315, uuid": "uuid:_get_command_stdout",
    "CVE-2026-56315, imaplib": "imaplib:IMAP4_stream",
    "CVE-2026-56315, _aix_support": "_aix_support:_read_cmd_output",
    "CVE-2026-56315, _pyrepl": "_pyrepl.pager:pipe_pager",
    "modelscan #338, collect_env": "torch.utils.collect_env:run",
    "modelscan #338, spawnv_passfds": "multiprocessing.util:spawnv_passfds",
    "modelscan #338, mlflow": "mlflow.projects.backend.local:_run_entry_point",
    "modelscan #338, pandas": "pandas.io.parsers.readers:read_csv",
    "modelscan #338, urlretrieve": "urllib.request:urlretrieve",
    "picklescan 1.0.4, distutils.spawn": "distutils.spawn:spawn",
    "picklescan 1.0.4, _winapi": "_winapi:CreateProcess",
    "picklescan 1.0.4, _bootsubprocess": "_bootsubprocess:check_output",
    "picklescan 1.0.4, _posixsubprocess": "_posixsubprocess:fork_exec",
    "picklescan 1.0.3, codecs.open": "codecs:open",
    "picklescan 1.0.3, http.client": "http.client:HTTPSConnection",
    "modelscan 0.8.8, pydoc": "pydoc:pipepager",
    "picklescan #74, importlib": "importlib:import_module",
}

_OS = called("importlib", "import_module", short("os"))
_MOVED = named("numpy", "prod") + b"N}" + short("a") + short("os") + b"s\x86b"
_BUILTINS = named("numpy", "__builtins__")
_POISONED = b"\x80\x04" + short("os") + b"K\x010\x94" + short("system") + b"K\x010\x94"
_POISONED += b"00h\x00h\x01\x93" + TRUE + b"\x85R."
_SIGNAL = b"\x80\x04" + called("signal", "signal", b"K\x01", b"K\x00") + b"}" + short("a")
_SIGNAL += b"K\x01sb."
_FUNCTIONAL = "tf_keras.src.engine.functional"
_BYTECODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}


def _chained(*, resolver: tuple[str, str]) -> bytes:
    """`os.system` by a function that looks names up in a module imported by another."""
    return program(named(*resolver) + b"(" + _OS + short("system") + b"tR" + TRUE + b"\x85R")


def _packed_tar(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("_dot_", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _mlmodel(flavor: str) -> bytes:
    return f"artifact_path: model\nflavors:\n{flavor}mlflow_version: 3.14.0\n".encode()


def _pyfunc(more: str) -> bytes:
    return _mlmodel(f"  python_function:\n    env: conda.yaml\n{more}")


_SAVE = (
    text(1, "joined") + text(2, "Identity") + text(3, "prefix"),
    text(1, "save") + text(2, "SaveV2") + text(3, "joined") + text(3, "names:0"),
)


def _constant(target: str) -> bytes:
    held = field(8, field(1, 7) + field(8, target.encode()))
    return text(1, "prefix") + text(2, "Const") + field(5, text(1, "value") + field(2, held))


def _written(target: str) -> bytes:
    """A graph that saves a checkpoint where a constant says."""
    return saved_model(graph(_constant(target), *_SAVE, operation("MatMul")))


def _in_function(*nodes: bytes, outside: bytes = operation("MatMul")) -> bytes:
    """A graph whose nodes lie in a function, which has names of its own."""
    body = field(1, text(1, "f")) + b"".join(field(3, one) for one in nodes)
    return saved_model(graph(outside, library=field(2, field(1, body))))


def _mlflow(id_: str, what: str, verdict: object, *documents: bytes) -> Case:
    files = {f"{at}/MLmodel": document for at, document in enumerate(documents)}
    return Case(id_, what, verdict, files)  # type: ignore[arg-type]


def _files(id_: str, what: str, verdict: object, **files: bytes) -> Case:
    names = {name.replace("_dot_", "."): data for name, data in files.items()}
    return Case(id_, what, verdict, names)  # type: ignore[arg-type]


CASES = [
    *(
        Case(id_, name, MALICIOUS, {"a.pkl": program(called(*name.split(":")))})
        for id_, name in GADGETS.items()
    ),
    _files(
        "picklescan 1.0.4, getattr_static",
        "os.system looked up by functions that are no getattr",
        MALICIOUS,
        a=_chained(resolver=("inspect", "getattr_static")),
        b=_chained(resolver=("operator", "getitem")),
        c=_chained(resolver=("builtins", "getattr")),
        d_dot_pt=torch_zip(_chained(resolver=("inspect", "getattr_static"))),
    ),
    _files(
        "modelscan #330 and #89",
        "the builtins of a module that is trusted, and a class whose attributes are moved",
        MALICIOUS,
        a=program(named("builtins", "dict.get") + _BUILTINS + short("exec") + b"\x86R"),
        b=program(named("numpy", "size") + b"}}" + short("x") + _BUILTINS + b"s\x86b"),
        c=program(_MOVED + named("numpy", "prod.a")),
    ),
    _files(
        "modelscan memo poisoning",
        "names that are taken from the memo, stored behind opcodes that give nothing",
        MALICIOUS,
        a=_POISONED,
    ),
    _files(
        "GHSA-mhc9-48gj-9gp3",
        "the result of a call given a state, which made it look used",
        MALICIOUS,
        a=_SIGNAL,
    ),
    _files(
        "GHSA-mxhj-88fx-4pcv",
        "the result of OBJ thrown away",
        MALICIOUS,
        a=b"\x80\x04(" + named("os", "system") + TRUE + b"o0N.",
    ),
    _files(
        "modelscan genops crash",
        "harmless names, then an opcode that is none, then the attack",
        MALICIOUS,
        a=program(named("collections", "OrderedDict"))[:-1] + b"\xfe" + SYSTEM,
    ),
    _files(
        "modelscan joblib",
        "a compressed pickle, and one inside an array of objects",
        MALICIOUS,
        a_dot_joblib=zlib.compress(SYSTEM),
        b_dot_joblib=with_array("|O", b"(K\x01t", SYSTEM),
        c_dot_npy=npy("'|O'", SYSTEM),
    ),
    _files(
        "joblib NDArrayWrapper",
        "an array that is in whichever file a name says",
        SUSPICIOUS,
        a_dot_joblib=program(
            named("joblib.numpy_pickle_compat", "NDArrayWrapper")
            + b")\x81}"
            + short("filename")
            + short("../x.npy")
            + b"sb"
        ),
    ),
    _files(
        "NeMo in tar.gz",
        "a checkpoint in an archive that scanners did not open",
        MALICIOUS,
        a_dot_nemo=_packed_tar(model_weights_dot_ckpt=torch_zip(SYSTEM)),
    ),
    _files(
        "torch.package",
        "source in the archive, imported by the pickle beside it",
        MALICIOUS,
        a_dot_pt=zipped(
            {
                "p/.data/extern_modules": b"",
                "p/model/model.pkl": program(named("benignmod", "Widget")),
                "p/benignmod.py": b"import os\nos.system('true')\nclass Widget: pass\n",
            }
        ),
    ),
    _mlflow(
        "MLflow loader_module",
        "MLflow imports or runs code of the model's own",
        SUSPICIOUS,
        _pyfunc("    loader_module: evil_loader\n"),
        _pyfunc("    loader_module: mlflow.pyfunc.model\n    model_code_path: script.py\n"),
        _pyfunc("    loader_module: mlflow.sklearn\n    code: code\n"),
        _mlmodel("  tensorflow:\n    keras_module: evil\n"),
    ),
    _files(
        "MLflow pickle_module",
        "a module that unpickles as it likes",
        SUSPICIOUS,
        pickle_module_info_dot_txt=b"evil_pickle_module\n",
    ),
    _mlflow(
        "MLflow pickled_model",
        "a pickle that lies outside of the model's folder, and a module that runs commands",
        MALICIOUS,
        _mlmodel("  sklearn:\n    pickled_model: ../outside/evil.pkl\n"),
        _pyfunc("    python_model: /tmp/evil.cloudpickle\n"),
        _pyfunc("    loader_module: mlflow.projects.backend\n"),
    ),
    _mlflow(
        "MLflow, ordinary",
        "what MLflow itself writes",
        CLEAN,
        _mlmodel(
            "  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
            "  sklearn:\n    pickled_model: model.pkl\n    code: null\n"
        ),
        _mlmodel("  tensorflow:\n    keras_module: tf_keras\n    data: data\n"),
    ),
    _files(
        "MLflow pickle_module, ordinary",
        "its own",
        CLEAN,
        pickle_module_info_dot_txt=b"mlflow.pytorch.pickle_module",
    ),
    _files(
        "keras TFSMLayer, TorchModuleWrapper",
        "layers that load something else, in either format",
        MALICIOUS,
        a_dot_keras=keras(model(layer("TFSMLayer", {"filepath": "https://x.example/m"}))),
        b_dot_h5=hdf5(
            model_config=json.dumps(model(layer("TorchModuleWrapper", {"module": "gAJL"})))
        ),
        c_dot_keras=keras(model(layer("Functional", {"layers": [layer("Lambda", _BYTECODE)]}))),
    ),
    _files(
        "keras PARSeqTokenizer",
        "a layer of another package that opens the file its vocabulary names",
        MALICIOUS,
        a_dot_keras=keras(
            model(
                layer(
                    "PARSeqTokenizer",
                    {"vocabulary": "/etc/passwd"},
                    "keras_hub.src.models.parseq.parseq_tokenizer",
                )
            )
        ),
    ),
    _files(
        "tf_keras, ordinary",
        "what Keras 2 writes as a package of its own",
        CLEAN,
        a_dot_keras=keras(layer("Functional", {"layers": [DENSE]}, _FUNCTIONAL)),
    ),
    _files(
        "tf_keras, function",
        "a function of the same package that fetches",
        MALICIOUS,
        a_dot_keras=keras(model(layer("function", "get_file", "tf_keras.utils"))),
    ),
    _files(
        "keras registered class",
        "a class of the user's own, whose code is elsewhere",
        SUSPICIOUS,
        a_dot_keras=keras(model(layer("Net", {}, "custom"), DENSE)),
    ),
    _files(
        "SavedModel PrintV2, SaveV2",
        "files written by operations that are not called write",
        MALICIOUS,
        a_dot_pb=saved_model(graph("MatMul", "PrintV2")),
        b_dot_pb=_written("/etc/cron.d/x"),
        c_dot_pb=_written("../../x"),
        d_dot_pb=_in_function(_constant("gs://bucket/x"), *_SAVE),
    ),
    _files(
        "SavedModel, ordinary saver",
        "how every saved model saves itself again",
        CLEAN,
        a_dot_pb=_written("model"),
        b_dot_pb=_written("_temp/part"),
        c_dot_pb=_in_function(*_SAVE, outside=_constant("/srv/vocabulary.txt")),
    ),
    _files(
        "ONNX hash-dotdot",
        "external data whose path climbs behind a mark",
        MALICIOUS,
        a_dot_onnx=onnx(node("Add") + field(5, external("#/../../x"))),
        b_dot_onnx=onnx(node("Add") + field(5, external("a#/../../x"))),
    ),
    _files(
        "GGUF array template, CVE-2026-5760",
        "a template in an array, and one that SGLang rendered",
        MALICIOUS,
        a_dot_gguf=gguf(
            (
                pair(
                    "tokenizer.chat_template",
                    9,
                    b"\x08\0\0\0\x01\0\0\0\0\0\0\0" + gguf_text(SSTI),
                ),
            )
        ),
        b_dot_gguf=gguf(
            (
                pair(
                    "tokenizer.chat_template",
                    8,
                    gguf_text("yes or no {{ lipsum.__globals__['os'].popen(cmd).read() }}"),
                ),
            )
        ),
    ),
    _files(
        "SafeTensors zero-size, F4",
        "tensors of no bytes whose offsets lie anywhere, and half bytes",
        MALFORMED,
        a_dot_safetensors=safetensors({"a": entry("F32", [0], [8, 8])}, bytes(4)),
        b_dot_safetensors=safetensors({"a": entry("F4", [3], [0, 1])}, bytes(1)),
    ),
    _files(
        "pickle in text of a pickle",
        "a pickle in a field that the loader unpickles later",
        SUSPICIOUS,
        a=program(raw(SYSTEM)),
    ),
]
