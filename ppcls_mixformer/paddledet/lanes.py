"""Packages that PaddleDetection's develop imports for data of lanes alone, where they are not installed."""

import contextlib
import importlib.machinery
import importlib.util
import sys
import types

from ppcls_mixformer.hosting.errors import UserError

PACKAGES = ("imgaug", "shapely")


@contextlib.contextmanager
def packages_stood_in_for():
    """develop: without imgaug and shapely nothing of it can be imported; imgaug needs numpy before 2.0.

    What is imported meanwhile gets functions that refuse, and others still find no such packages.
    """
    finder = _Finder([name for name in PACKAGES if importlib.util.find_spec(name) is None])
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in filter(finder.knows, list(sys.modules)):
            del sys.modules[name]


class _Finder:
    """Finds and makes modules of packages that are not there."""

    def __init__(self, names):
        self.names = names

    def knows(self, name):
        return name.split(".")[0] in self.names

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if self.knows(name) else None

    def create_module(self, spec):
        return _StandIn(spec.name)

    def exec_module(self, module):
        """There is nothing to run."""


class _StandIn(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        package = self.__name__.split(".")[0]

        def refuse(*args, **kwargs):
            raise UserError(f"data of lanes need {package}, which is not installed: install {package}")

        return refuse
