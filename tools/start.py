"""What the tools begin with, before there is a package that could catch anything: no tool itself."""

import sys
from pathlib import Path

INTERRUPTED = 130  # the status that shells give to a program ended by Ctrl-C


def run(name):
    """Runs `name` of `paddleclas/commands.py`; Ctrl-C is one line while Paddle is imported, too."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    try:
        from ppcls_mixformer.hosting import cli
        from ppcls_mixformer.paddleclas import commands
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)
    cli.run(getattr(commands, name))
