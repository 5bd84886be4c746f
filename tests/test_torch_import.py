"""What programs leave out when they import torch."""

import subprocess
import sys

TRAINS = """
x = torch.randn(5, 4, requires_grad=True)
torch.nn.functional.dropout(torch.relu(x @ torch.ones(4, 3)), 0.5).sum().backward()
assert x.grad.shape == (5, 4)
"""


def python(code: str) -> str:
    """What a process of its own prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_unused_parts_are_not_imported():
    """Nor what only they use; tensors and their gradients are there."""
    code = "import sys; from mpiedge.training.torch_import import import_torch; import_torch(); import torch"
    found = python(f"{code}{TRAINS}print(*sys.modules)").split()
    assert "torch.nn" in found and not {"torch._decomp", "torch._export"} & set(found)


def test_a_part_is_imported_when_it_is_asked_for():
    """torch.export is whole once something in it is asked for."""
    code = "from mpiedge.training.torch_import import import_torch; import_torch(); import torch; "
    assert python(f"{code}from torch.export import Dim; print(Dim is torch.export.Dim)") == "True\n"
    assert python(f"{code}print(callable(torch.export.export), torch.export.__file__ != '')") == "True True\n"


def test_torch_that_is_there_stays_whole():
    """Who has imported torch has all of it."""
    code = "import torch, sys; from mpiedge.training.torch_import import import_torch; import_torch(); "
    assert python(f"{code}print('torch._decomp' in sys.modules, type(torch.export).__name__)") == "True module\n"
