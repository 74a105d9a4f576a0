#!/usr/bin/env python3
"""The one command: `up`, `test`, `apply`, `get` … Without arguments it says what it can do."""

import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036, whoever runs this may have an older one
        sys.exit("kijabi needs Python 3.11 or newer; this is " + sys.version.split()[0])
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from orchestrator.launch.commands import run

    run(sys.argv[1:])
