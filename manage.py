#!/usr/bin/env python3
"""The one command of Kijabi: `python3 manage.py --help` lists what it does."""

import sys

if sys.version_info < (3, 11):
    sys.exit("Kijabi needs Python 3.11 or newer; this is Python " + sys.version.split()[0] + ".")

from orchestrator.launch.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
