"""Runs Python as where some packages are not installed: `without.py paddle,cv2 -c CODE`, or `-m MODULE …`."""

import runpy
import sys


class Hiding:
    """A finder of modules that finds all but some packages."""

    def __init__(self, finder, packages):
        self.finder, self.packages = finder, packages

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.packages:
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


if __name__ == "__main__":
    _, packages, option, what, *arguments = sys.argv
    sys.meta_path[:] = [Hiding(finder, packages.split(",")) for finder in sys.meta_path]
    sys.argv = [what, *arguments]
    if option == "-c":
        exec(what, {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)
