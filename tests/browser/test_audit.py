"""The audit itself: it names every fault of a bad page, and leaves a good one in peace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser import audit
from tests.browser.sites import Look

pytestmark = pytest.mark.browser

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'"
FRAME = "<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1>{}</main></html>"
GOOD = FRAME.format("<p>Look at <a href=/>the overview</a> first.</p>")
BAD = FRAME.format(
    "<p style='color: red'>red</p><img src=/none.png><script>throw new Error('inline')</script>"
    "<pre>" + "wide " * 300 + "</pre><p><a href=/>x</a></p>"
)


@pytest.fixture
def show(open_as: Callable[[Look], Page]) -> Callable[[str], Page]:
    """Return a function that opens a page with this text under our content policy."""

    def open_text(text: str) -> Page:
        page = open_as(Look(role="", width=390))
        headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html"}
        page.route("**/bad-or-good/", lambda route: route.fulfill(body=text, headers=headers))
        page.goto("/bad-or-good/")
        return page

    return open_text


def test_a_good_page_has_no_faults(show: Callable[[str], Page]):
    page = show(GOOD)

    assert audit.faults(page) == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("content policy: style-src-attr", id="a-style-on-an-element"),
        pytest.param("content policy: script-src-elem", id="an-inline-script"),
        pytest.param("console: ", id="an-error-on-the-console"),
        pytest.param("overflow: ", id="a-line-wider-than-the-window"),
        pytest.param("target: ", id="a-link-too-small-for-a-finger"),
        pytest.param("axe image-alt (critical): img: ", id="a-picture-nobody-describes"),
    ],
)
def test_a_bad_page_is_told_its_faults(show: Callable[[str], Page], fault: str):
    page = show(BAD)

    assert [line for line in audit.faults(page) if line.startswith(fault)]
