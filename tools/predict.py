"""The `paddleclas` predict command on every supported Paddle, with the same flags."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppcls_mixformer.paddleclas.predict import main

if __name__ == "__main__":
    main()
