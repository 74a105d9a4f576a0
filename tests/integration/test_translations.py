"""Korean is complete: every string is in the catalogue, translated, and compiled as it stands."""

from __future__ import annotations

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.conftest import require_or_skip

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "webui/locale/ko/LC_MESSAGES"
PLACES = re.compile(r"%\(\w+\)[.\d]*[sdf]|<[^>]+>")


@pytest.fixture(scope="module")
def catalogue() -> polib.POFile:
    return polib.pofile(str(FOLDER / "django.po"))


def test_every_string_of_the_source_is_in_the_catalogue(
    catalogue: polib.POFile, tmp_path: Path
) -> None:
    if shutil.which("xgettext") is None:
        require_or_skip("gettext", "it is not installed here (apt-get install gettext)")
    for package in ("webui", "orchestrator"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("locale"))
    (tmp_path / "locale").mkdir()
    env = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "django", "makemessages", "-l", "ko", "--keep-pot", "-v0"]
    subprocess.run([*command, "--no-location"], cwd=tmp_path, check=True, timeout=120, env=env)
    found = {key(entry) for entry in polib.pofile(str(tmp_path / "locale/django.pot"))}
    assert found == {key(entry) for entry in catalogue}


def test_every_string_is_translated_with_its_placeholders(catalogue: polib.POFile) -> None:
    for entry in catalogue:
        texts = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        assert all(texts), entry.msgid
        assert not entry.fuzzy, entry.msgid
        for text in texts:
            assert sorted(PLACES.findall(text)) == sorted(PLACES.findall(entry.msgid))


def test_what_is_compiled_is_what_is_written(catalogue: polib.POFile) -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in catalogue:
        if entry.msgid_plural:
            told = compiled.ngettext(entry.msgid, entry.msgid_plural, 2)
            assert told == entry.msgstr_plural[0]
        else:
            assert compiled.gettext(entry.msgid) == entry.msgstr


def test_nothing_else_is_compiled(catalogue: polib.POFile) -> None:
    compiled = polib.mofile(str(FOLDER / "django.mo"))
    assert {key(entry) for entry in compiled} == {key(entry) for entry in catalogue}


def test_times_that_scripts_keep_ticking_keep_their_zero(catalogue: polib.POFile) -> None:
    base = (ROOT / "webui/templates/webui/base.html").read_text()
    texts = re.findall(r"data-\w+=\"{% trans '([^']*0[^']*)' %}", base)
    assert len(texts) == 6
    for text in texts:
        entry = catalogue.find(text)
        assert entry is not None
        assert entry.msgstr.count("0") == 1, text


@pytest.mark.parametrize(("path", "words"), [("/login/", "로그인"), ("/", "개요")])
def test_a_browser_that_asks_for_korean_gets_it(
    db: None, plain_static_files: None, path: str, words: str
) -> None:
    client = Client(headers={"Accept-Language": "ko-KR,ko;q=0.9"})
    if path != "/login/":
        client.force_login(User.objects.create_user("somebody", is_superuser=True))
    page = client.get(path).content.decode()
    assert '<html lang="ko"' in page
    assert f"<h1>{words}</h1>" in page


def key(entry: polib.POEntry) -> tuple[str, str]:
    return entry.msgid, entry.msgid_plural
