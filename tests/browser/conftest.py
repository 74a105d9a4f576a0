"""One stack and one browser for all tests here; a context of its own for each page.

Playwright keeps an event loop running in the main thread, where Django then refuses to touch the
database. So these tests run last, after every test that does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser import audit, sites
from tests.browser.sites import Look, Site
from tests.conftest import require_or_skip
from tests.stack import Stack, free_port

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser, or a skip."""
    path = shutil.which("chromium")
    if path is None:
        require_or_skip("chromium", "it is not installed here (apt-get install chromium)")
    return str(path)


@pytest.fixture(scope="session")
def chrome(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def site(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The whole system, started after it is known that there is a browser to see it."""
    del chromium
    stack = Stack(tmp_path_factory.mktemp("browser") / "home", free_port(), "sandbox")
    stack.start()
    try:
        yield sites.furnish(stack)
    finally:
        stack.end()
        stack.run("down")


@pytest.fixture
def open_as(chrome: Browser, site: Site) -> Iterator[Callable[[Look], Page]]:
    """Return a watched, empty page of a new context."""
    contexts: list[BrowserContext] = []

    def open_page(look: Look) -> Page:
        context = chrome.new_context(
            base_url=site.address,
            color_scheme=look.scheme,
            viewport={"width": look.width, "height": 844},
            java_script_enabled=look.scripts,
            locale="en-GB",
            reduced_motion="reduce",
        )
        contexts.append(context)
        if look.role:
            cookie = {"name": "sessionid", "value": site.sessions[look.role], "url": site.address}
            context.add_cookies([cookie])
        return audit.watch(context.new_page())

    yield open_page
    for context in contexts:
        context.close()
