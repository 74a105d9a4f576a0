"""What every page must pass, and a screenshot of it for people to look at.

`watch` a page before it opens anything; `check_page` then names everything that is wrong with
what it shows: accessibility, layout, and whatever the browser complained about.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Error, Page

HERE = Path(__file__).parent
SCREENSHOTS = Path(os.environ.get("KIJABI_SCREENSHOTS") or HERE / "screenshots")
MEASURE = (HERE / "measure.js").read_text()
REPORT_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
  `${event.effectiveDirective} forbids ${event.blockedURI || event.sample}, ${event.sourceFile}`
));
"""
# WCAG 2.2 A and AA and axe's own good practice; target-size is off in axe unless asked for.
AXE = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
# What may change with the colours alone; `preload` reads style sheets for rules left out here.
COLOURS = {"runOnly": ["color-contrast"], "resultTypes": ["violations"], "preload": False}

_complaints: WeakKeyDictionary[Page, list[str]] = WeakKeyDictionary()


def watch(page: Page) -> Page:
    """Collect what the browser complains about from now on."""
    said = _complaints[page] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            said.append(f"console: {message.text} ({message.location.get('url', '')})")

    def note_error(error: Error) -> None:
        said.append(f"script: {error}")

    page.on("console", note)
    page.on("pageerror", note_error)
    page.add_init_script(REPORT_VIOLATIONS)
    return page


def check_page(page: Page, name: str, *, again: bool = False) -> None:
    """Take a screenshot of what a watched page shows, and fail with all that is wrong with it.

    `again` spares what has been checked at this width in other colours.
    """
    shoot(page, name)
    wrong = axe_violations(page, COLOURS) if again else faults(page)
    assert not wrong, "\n".join([f"{page.url} ({name}):", *(f"  {line}" for line in wrong)])


def faults(page: Page) -> list[str]:
    """Return a line for each thing that is wrong with what a watched page shows."""
    return [*complaints(page), *layout_faults(page), *axe_violations(page)]


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the whole page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")


def complaints(page: Page) -> list[str]:
    """Return errors of scripts and on the console, and what the content policy has stopped."""
    stopped = page.evaluate("window.violations || []")
    return [*_complaints[page], *(f"content policy: {line}" for line in stopped)]


def layout_faults(page: Page) -> list[str]:
    """Return what sticks out of the window, and what is too small for a finger."""
    return page.evaluate(MEASURE)


def axe_violations(page: Page, options: dict[str, Any] = AXE) -> list[str]:
    """Return a line for each element that breaks a rule of accessibility."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("options => axe.run(options).then((found) => found.violations)", options)
    return [_violation(rule, node) for rule in found for node in rule["nodes"]]


def _violation(rule: dict[str, Any], node: dict[str, Any]) -> str:
    why = " ".join(node.get("failureSummary", "").split())
    return f"axe {rule['id']} ({rule['impact']}): {node['target'][0]}: {why}: {node['html'][:160]}"
