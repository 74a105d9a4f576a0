"""A state folder is made ready once, however many programs start on it at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.stack import ROOT

AT_ONCE = 4


def test_programs_that_start_at_once_prepare_one_after_the_other(tmp_path: Path):
    left_out = ("KIJABI", "DJANGO", "DATABASE_URL", "REDIS_URL")
    env = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    env |= {"KIJABI_HOME": str(tmp_path / "home"), "KIJABI_NO_VENV": "1"}
    command = [sys.executable, "manage.py", "bootstrap", "--json"]

    began = [
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(AT_ONCE)
    ]
    ended = [process.communicate(timeout=120) for process in began]

    assert [err.decode() for _, err in ended] == [""] * AT_ONCE
    passwords = [json.loads(out.decode().splitlines()[-1])["password"] for out, _ in ended]
    assert sum(password is not None for password in passwords) == 1
