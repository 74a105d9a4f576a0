"""Django's own checklist for deployments, by `manage.py check --deploy` in a fresh process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.home import ROOT

# What only TLS can bring: long memory of it, redirects to it, and cookies that need it.
WITHOUT_TLS = {"security.W004", "security.W008", "security.W012", "security.W016"}


def findings(home: Path, **environment: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env={**os.environ, "KIJABI_HOME": str(home), "KIJABI_NO_VENV": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"\((\w+\.[A-Z]\d+)\)", done.stdout + done.stderr))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param(
            {"KIJABI_HTTPS": "1", "KIJABI_BEHIND_PROXY": "1"}, set(), id="behind-a-proxy-is-clean"
        ),
        pytest.param({"KIJABI_HTTPS": "0"}, WITHOUT_TLS, id="plain-http-lacks-tls-and-no-more"),
    ],
)
def test_the_checklist(tmp_path: Path, environment: dict[str, str], expected: set[str]):
    assert findings(tmp_path, **environment) == expected


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_health_is_told_without_tls(client, settings, path: str):
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(path).status_code == 200
    assert client.get("/login/").status_code == 301


def test_cookies_are_for_this_site_only(settings):
    assert settings.SESSION_COOKIE_HTTPONLY
    assert {settings.SESSION_COOKIE_SAMESITE, settings.CSRF_COOKIE_SAMESITE} == {"Lax"}
