"""What people see and do about nodes while one falls silent, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audit import check_page
from tests.browser.sites import Look, Site

pytestmark = pytest.mark.browser

OpenAs = Callable[[Look], Page]
COUNTDOWN = re.compile(r"Not heard for (\d+) s; given up in (\d+) s unless it answers\.")
# A machine that joined and never answers: the control plane itself finds that out. It is closed,
# because what crashes elsewhere would else be moved to it while it seems to be well.
SILENT = """
from django.utils import timezone
from orchestrator.models import Node
now = timezone.now()
Node.objects.create(
    name="silent", runtimes=["sandbox"], cpu_millis=4000, memory_bytes=2**33, joined_at=now,
    seen_at=now, cordoned=True,
)
"""
GONE = """
from orchestrator.models import Node
Node.objects.filter(name="silent").delete()
"""


@pytest.fixture
def with_silent(site: Site) -> Iterator[Site]:
    """The system a moment after a node fell silent."""
    site.stack.run("shell", "-c", SILENT)
    yield site
    site.stack.run("shell", "-c", GONE)


def numbers(page: Page) -> tuple[int, int]:
    """Return how long the node has been silent, and how long it has left."""
    found = COUNTDOWN.search(page.locator("#condition").inner_text())
    assert found is not None
    return int(found[1]), int(found[2])


@pytest.mark.timeout(120)
def test_a_silent_node_counts_down_is_lost_and_is_forgotten(
    with_silent: Site, open_as: OpenAs
) -> None:
    page = open_as(Look())
    page.goto(with_silent.url("/nodes/silent/"))
    note = page.locator("#condition .notice")
    expect(note).to_have_text(COUNTDOWN, timeout=10_000)
    begun, before = numbers(page), note.bounding_box()
    page.wait_for_timeout(2_000)
    gone_on, after = numbers(page), note.bounding_box()
    assert gone_on[0] > begun[0]
    assert gone_on[1] < begun[1]
    assert after == before

    page.goto(with_silent.url("/nodes/"))
    lost = page.locator("#condition-lost")
    expect(lost.get_by_role("link", name="silent Lost, no replicas")).to_be_visible(timeout=15_000)
    check_page(page, "journey-nodes-lost")
    lost.get_by_role("link").click()
    expect(note).to_have_text(re.compile(r"Given up \d+ s ago; nothing ran there\."))

    page.get_by_role("link", name="Forget …").click()
    page.get_by_label("Type silent to confirm").fill("silent")
    check_page(page, "journey-nodes-forget")
    page.get_by_role("button", name="Forget the node").click()
    page.wait_for_url("**/nodes/")
    expect(page.get_by_text("node silent is forgotten")).to_be_visible()
    expect(page.locator("#map-silent")).to_have_count(0)


def test_labels_and_taints_are_changed_on_the_nodes_page(site: Site, open_as: OpenAs) -> None:
    page = open_as(Look(width=390))
    page.goto(site.url("/nodes/n1/"))
    page.locator("#change-marks summary").click()
    page.get_by_label("Labels people gave").fill("zone a")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text('"zone a" is no label; write key=value')
    expect(page.get_by_label("Labels people gave")).to_have_value("zone a")

    page.get_by_label("Labels people gave").fill("zone=a")
    page.get_by_role("textbox", name="Taints").fill("old:PreferNoSchedule")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/nodes/n1/")
    expect(page.locator("#marks")).to_contain_text("zone=a")
    expect(page.locator("#marks")).to_contain_text("old:PreferNoSchedule")

    page.locator("#change-marks summary").click()
    page.get_by_label("Labels people gave").fill("")
    page.get_by_role("textbox", name="Taints").fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#marks")).not_to_contain_text("zone=a")
    assert site.stack.api("nodes/n1/")["taints"] == []


def test_the_map_is_walked_by_keyboard(site: Site, open_as: OpenAs) -> None:
    page = open_as(Look())
    page.goto(site.url("/nodes/"))
    tile = page.locator("#map-n1 a")
    tile.focus()
    expect(tile).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/nodes/n1/")


def test_a_click_copies_nothing_unless_it_is_on_a_button_for_that(
    site: Site, open_as: OpenAs
) -> None:
    page = open_as(Look())
    page.goto(site.url("/nodes/"))

    page.get_by_role("heading", name="Nodes", level=1).click()

    assert page.locator("#announce").text_content() == ""
