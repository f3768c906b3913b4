"""What of torch and NumPy unpickles is called nowhere, the room that imports torch included."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.checkout import SOURCE, modules

# Loaders that run pickles or code they find, and what hands out such loaders. `torch.save` writes
# what only a pickle reads.
UNPICKLING = (
    *("torch.load", "torch.save", "torch.serialization", "torch.hub", "torch.package"),
    *("torch.jit.load", "torch.export.load", "torch._dynamo.load", "torch.classes", "torch.ops"),
    *("torch.distributed.checkpoint", "torch.utils.model_zoo", "torch.multiprocessing"),
    *("numpy.load", "numpy.lib.format", "pandas.read_pickle"),
)
# Operators that torch itself registers; `torch.ops` would load libraries of others too.
OPERATORS = "torch.ops.aten."
# Written for programs that read nothing else, by torch itself, and read back by none of this.
FOR_OTHERS = {
    "training/dcp.py": {
        "torch.distributed.checkpoint.state_dict.get_state_dict",
        "torch.distributed.checkpoint.state_dict_saver.save",
    }
}


def test_nothing_that_unpickles_is_called() -> None:
    used = [
        f"{where}: {name}"
        for path in modules()
        for where in [path.relative_to(SOURCE).as_posix()]
        for name in names_in(path.read_text())
        if any(name == one or name.startswith(f"{one}.") for one in UNPICKLING)
        and not name.startswith(OPERATORS)
        and name not in FOR_OTHERS.get(where, ())
    ]
    assert used == []


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x')",
        "from torch import load",
        "from torch import load as read",
        "from torch.serialization import load",
        "import torch.hub",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "from torch import hub\nhub.load('x')",
        "import torch\nread = torch.serialization.load",
        "import torch\ntorch.ops.load_library('x')",
        "import torch\ngetattr(torch.ops, 'x')",
    ],
)
def test_the_search_finds_them(source: str) -> None:
    assert any(name.startswith(UNPICKLING) for name in names_in(source))


def names_in(source: str) -> Iterator[str]:
    """Full names of what is imported, and of attributes of what is imported, as far as written."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                known[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            yield full_name(node, known)


def full_name(node: ast.expr, known: dict[str, str]) -> str:
    match node:
        case ast.Attribute(value=value, attr=attribute):
            return f"{full_name(value, known)}.{attribute}"
        case ast.Name(id=name):
            return known.get(name, "")
    return ""
