"""The import of torch without its parts that no training here uses: a third of the time it takes, and 20 MB.

On the weakest hosts every rank spends a quarter of a minute on it, and has not much more memory than torch alone takes.
"""

import importlib
import sys
from types import ModuleType

UNUSED = ("torch._meta_registrations",  # for tensors without data, which only compilers have
          "torch.export")  # torch's own, of models that it compiled


class Postponed(ModuleType):
    """A module that is imported when something in it is asked for; modules below it are not found before."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_torch() -> None:
    """Local: imports torch, if that was not done, with the parts in UNUSED postponed. For programs only: who calls
    mpiedge from a program of their own may want all of torch."""
    if "torch" not in sys.modules:
        sys.modules.update({name: Postponed(name) for name in UNUSED})
    importlib.import_module("torch")
