"""Every page, in each look: accessible, nothing cut off, nothing the browser complains about."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.audit import check_page, layout_faults, shoot
from tests.browser.sites import PASSWORD, Look, Site
from tests.pages import ADMIN_PAGES, LOGIN, PAGES

pytestmark = pytest.mark.browser

LOOKS = [
    *(Look(scheme=scheme, width=width) for scheme in ("light", "dark") for width in (1180, 390)),
    Look(role="viewer"),
]
NOBODY = [Look(role="", scheme=look.scheme, width=look.width) for look in LOOKS[:4]]
SEEN = [
    *((path, look) for path in PAGES for look in LOOKS),
    *((path, look) for path in ADMIN_PAGES for look in LOOKS if look.role == "admin"),
    *((LOGIN, look) for look in NOBODY),
]


def file_name(path: str, look: Look) -> str:
    return "-".join([*re.findall(r"\w+", path), str(look)])


@pytest.mark.parametrize(("path", "look"), SEEN, ids=str)
def test_a_page_is_fit_for_everybody(
    path: str, look: Look, site: Site, open_as: Callable[[Look], Page]
):
    page = open_as(look)

    answer = page.goto(site.url(path), wait_until="load")

    assert answer is not None
    assert answer.status == 200
    check_page(page, file_name(path, look))


@pytest.mark.parametrize("path", [LOGIN, *PAGES, *ADMIN_PAGES])
def test_a_page_fits_windows_of_other_widths(
    path: str, site: Site, open_as: Callable[[Look], Page], subtests: pytest.Subtests
):
    page = open_as(Look(role="" if path == LOGIN else "admin"))
    page.goto(site.url(path), wait_until="load")

    for width in (320, 768, 1920):
        with subtests.test(width):
            page.set_viewport_size({"width": width, "height": 844})
            assert layout_faults(page) == []


@pytest.mark.parametrize("width", [1180, 390])
def test_without_scripts_one_logs_in_and_sees_every_page(
    width: int, site: Site, open_as: Callable[[Look], Page], subtests: pytest.Subtests
):
    look = Look(role="", width=width, scripts=False)
    page = open_as(look)

    page.goto(site.url(LOGIN))
    page.get_by_label("User").fill("the-operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(site.url("/"))

    for path in PAGES:
        with subtests.test(path):
            answer = page.goto(site.url(path))
            assert answer is not None
            assert answer.status == 200
            assert page.get_by_role("heading", level=1).is_visible()
            shoot(page, file_name(path, look))
            assert layout_faults(page) == []
