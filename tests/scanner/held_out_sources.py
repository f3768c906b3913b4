"""Python source that hides what it runs when it is imported, and model code that does not."""

import base64
import zlib

from tests.scanner.form_cases import (
    CLEAN,
    ELF,
    MALFORMED,
    MALICIOUS,
    SUSPICIOUS,
    Case,
    numbered,
    zipped,
)
from tests.scanner.pickle_assembly import SYSTEM

_PACKED = base64.b64encode(b"import os; os.system('true')").decode()


def _sources(id_: str, what: str, verdict: object, *sources: str) -> Case:
    encoded = (source.encode() for source in sources)
    return Case(id_, what, verdict, numbered(".py", *encoded))  # type: ignore[arg-type]


CASES = [
    _sources(
        "HELD-ways-round",
        "os.system by ways that no list of calls has",
        MALICIOUS,
        "__import__('o' + 's').system('true')",
        "getattr(__import__('os'), 'sys' + 'tem')('true')",
        "import importlib\nimportlib.import_module('os').system('true')",
        "from os import *\nsystem('true')",
        "import sys\nsys.modules['os'].system('true')",
        "import os\nos.__dict__['system']('true')",
        "import os\nvars(os)['system']('true')",
        "import os\nf = os.system\nf('true')",
        "import os\n@os.system\ndef f(): pass",
        "import os\nlist(map(os.system, ['true']))",
        "import os\ndef f(x=os.system('true')): pass",
        "import os\nclass A:\n    x = os.popen('true')",
    ),
    _sources(
        "HELD-builtins",
        "exec and eval by other names, and ways to every class",
        SUSPICIOUS,
        "import builtins\nbuiltins.exec('x')",
        "globals()['__builtins__']['exec']('x')",
        "__builtins__['exec']('x')",
        "print.__self__.exec('x')",
        "x = [].__class__.__base__.__subclasses__()",
    ),
    _sources(
        "HELD-loads",
        "another file unpickled, written, run or compiled on import",
        SUSPICIOUS,
        "import torch\ntorch.load('x.bin')",
        "import joblib\njoblib.load('x')",
        "import pandas\npandas.read_pickle('x')",
        "import pickle\npickle.load(open('x', 'rb'))",
        "import runpy\nrunpy.run_module('x')",
        "open('x', 'w').write('x')",
        "open('sitecustomize.py', 'w').write('x')",
        "open('/srv/x.txt', 'w').write('x')",
        "open('../../x.json', 'w').write('x')",
        "open(path, 'wb').write('x')",
        "import shutil\nshutil.copy('a', 'b')",
        "import torch.utils.cpp_extension as c\nc.load_inline('x', ['y'])",
        "import webbrowser\nwebbrowser.open('x')",
    ),
    _sources(
        "HELD-encoding",
        "source in an encoding that hides it",
        MALFORMED,
        "# -*- coding: utf-7 -*-\n+AGkAbQBwAG8AcgB0ACAAbwBz-",
        "# coding: unicode_escape\n#\\x0aimport os; os.system('true')\n",
    ),
    _sources(
        "HELD-newer",
        "source that an older Python cannot parse",
        SUSPICIOUS,
        "type X = = int\nimport os\nos.system('true')\n",
    ),
    _sources(
        "HELD-spelled",
        "commands, pickles and programs in constants, in base64 and backwards",
        SUSPICIOUS,
        f"x = '{_PACKED}'",
        f"x = '{_PACKED[::-1]}'",
        f"def f():\n    return b'{_PACKED}'",
        f"x = '{base64.b64encode(SYSTEM).decode()[::-1]}'",
        f"x = '{base64.b64encode(ELF).decode()}'",
        f"x = '{zlib.compress(SYSTEM).hex()}'",
    ),
    _sources(
        "HELD-plain",
        "constants that are only long, or data",
        CLEAN,
        "KEY = 'transformer_h_0_attn_c_attn_weight_and_bias'",
        f"ICON = '{base64.b64encode(bytes(range(200))).decode()}'",
        "DIGEST = '" + "ab12" * 16 + "'",
        f"TEXT = '{base64.b64encode(b'nothing but words in here').decode()}'",
    ),
    Case(
        "HELD-startup",
        "lines that Python runs when it starts",
        MALICIOUS,
        {"x.pth": b"import os; os.system('true')\n", "sitecustomize.py": b"import os\nos.abort\n"
         b"os.system('true')\n"},
    ),
    Case(
        "HELD-handler",
        "a function of a handler, in an archive",
        MALICIOUS,
        {"m.mar": zipped(**{"h.py": b"import os\ndef handle(d, c):\n    os.system(d)\n"})},
    ),
    _sources(
        "HELD-model-code",
        "what code of models does",
        CLEAN,
        "import os, torch\nclass Net(torch.nn.Module):\n    def load(self, path):\n"
        "        return torch.load(os.path.join(path, 'x'))\n",
        "import subprocess\ntry:\n    x = 1\nexcept subprocess.CalledProcessError:\n    pass\n",
        "import importlib\ndef f(name):\n    return getattr(importlib.import_module(name), 'x')\n",
        "import os\nos.environ.setdefault('A', '1')\nR = os.path.dirname(os.path.abspath('x'))\n",
        "import torch\nACT = {n: getattr(torch.nn, n) for n in ('ReLU', 'GELU')}\n",
        "__version__ = '1'\nwith open('README.md') as f:\n    text = f.read()\n",
        "print 'python 2'\n",
        "import pickle\nwith open('out/model.pkl', 'wb') as f:\n    pickle.dump([1], f)\n",
        "open('metrics.json', mode='a').write('x')",
    ),
]  # fmt: skip
