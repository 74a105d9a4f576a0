"""Every page, in each look: accessible, nothing cut off, nothing the browser complains about."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.audit import axe_violations, check_page, layout_faults
from tests.browser.sites import PASSWORD, Look, Site
from tests.pages import LOGIN, PAGES, may_open

pytestmark = pytest.mark.browser

WIDTHS = (1180, 390)
OTHER_WIDTHS = (320, 768, 1920)


def file_name(path: str, look: Look) -> str:
    return "-".join([*re.findall(r"\w+", path), str(look)])


def resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})


@pytest.mark.parametrize("path", [LOGIN, *PAGES])
def test_a_page_is_fit_for_everybody(
    path: str, site: Site, open_as: Callable[[Look], Page], subtests: pytest.Subtests
):
    role = "" if path == LOGIN else "admin"
    page = open_as(Look(role))

    answer = page.goto(site.url(path), wait_until="load")

    assert answer is not None
    assert answer.status == 200
    for width in WIDTHS:
        resize(page, width)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            with subtests.test(scheme=scheme, width=width):
                name = file_name(path, Look(role, scheme, width))
                check_page(page, name, again=scheme == "dark")
    for width in OTHER_WIDTHS:
        resize(page, width)
        with subtests.test(width=width):
            assert layout_faults(page) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_fit_for_those_who_may_only_look(
    path: str, site: Site, open_as: Callable[[Look], Page]
):
    look = Look("viewer")
    page = open_as(look)

    answer = page.goto(site.url(path), wait_until="load")

    assert answer is not None
    if may_open(look.role, path):
        assert answer.status == 200
        check_page(page, file_name(path, look))
    else:
        # The browser itself complains about the status, on the console.
        assert answer.status == 403
        assert [*layout_faults(page), *axe_violations(page)] == []


def test_without_scripts_one_logs_in_and_sees_every_page(
    site: Site, open_as: Callable[[Look], Page], subtests: pytest.Subtests
):
    look = Look(role="", scripts=False)
    page = open_as(look)

    page.goto(site.url(LOGIN))
    page.get_by_label("User").fill("the-operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(site.url("/"))

    for path in PAGES:
        if not may_open("operator", path):
            continue
        with subtests.test(path):
            answer = page.goto(site.url(path))
            assert answer is not None
            assert answer.status == 200
            assert page.get_by_role("heading", level=1).is_visible()
            for width in (*WIDTHS, *OTHER_WIDTHS):
                resize(page, width)
                assert layout_faults(page) == []
