"""What is sent to browsers: its size, its safety, and settings as Django's checklist asks."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MOST_BYTES = 60 * 1024


def test_own_styles_and_scripts_stay_small() -> None:
    files = [path for path in (ROOT / "webui/static").rglob("*") if path.is_file()]

    assert {path.suffix for path in files} == {".css", ".js"}
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) <= MOST_BYTES


def test_no_template_has_inline_styles_or_scripts() -> None:
    for path in (ROOT / "webui/templates").rglob("*.html"):
        text = path.read_text()
        assert " style=" not in text, path
        assert " onclick=" not in text, path
        assert "<style" not in text, path
        assert "|safe" not in text, path


def test_the_deployment_checklist_is_clean_behind_https(tmp_path: Path) -> None:
    env = {**os.environ, "KIJABI_HOME": str(tmp_path), "KIJABI_HTTPS": "1", "KIJABI_NO_VENV": "1"}
    env.pop("KIJABI_DEBUG", None)
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]

    result = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
