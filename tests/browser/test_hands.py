"""What scripts add to a page: it keeps itself current, and never takes anything out of a hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.sites import Look, Site

pytestmark = pytest.mark.browser

OpenAs = Callable[[Look], Page]
DETAIL = "/deployments/default/{}/"


def deploy(site: Site, name: str, replicas: int = 0, reason: str = "") -> None:
    text = _MANIFEST.format(name=name, replicas=replicas, reason=reason)
    site.stack.run("apply", "-f", "-", text=text)


_MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  annotations: {{kijabi.dev/change-cause: "{reason}"}}
spec:
  replicas: {replicas}
  template:
    spec:
      runtimeClassName: sandbox
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: host
        command: [sh, -c, "echo {name}; exec sleep 600"]
"""


def row(page: Page, name: str):
    return page.locator(f"[id='row-default.{name}']")


def test_a_held_list_catches_up_when_the_hand_has_gone(open_as: OpenAs, site: Site) -> None:
    page = open_as(Look())
    page.goto(site.url("/deployments/"))
    chip = page.locator("[data-pending-for=rows]")
    row(page, "web").hover()
    top = row(page, "web").bounding_box()["y"]

    deploy(site, "under-the-pointer")
    expect(chip).to_have_text("Show changes (1)")
    assert row(page, "web").bounding_box()["y"] == top
    page.get_by_role("heading", name="Deployments").hover()
    expect(row(page, "under-the-pointer")).to_be_visible()
    expect(chip).to_be_hidden()

    everything = page.get_by_label("Tick all on this page")
    everything.check()
    page.get_by_role("heading", name="Deployments").hover()
    deploy(site, "beside-the-ticked")
    expect(chip).to_be_visible()
    expect(everything).to_be_checked()
    expect(page.get_by_label("Tick web")).to_be_checked()
    everything.uncheck()
    page.get_by_role("heading", name="Deployments").hover()
    expect(row(page, "beside-the-ticked")).to_be_visible()

    page.goto(site.url("/events/"))
    page.locator("#timeline li").first.hover()
    deploy(site, "beside-the-timeline")
    expect(page.locator("[data-pending-for=timeline]")).to_be_visible()
    assert page.get_by_text("beside-the-timeline").count() == 0
    page.locator("[data-pending-for=timeline]").click()
    expect(page.get_by_text("beside-the-timeline").first).to_be_visible()


def test_a_list_with_a_picked_radio_goes_on(open_as: OpenAs, site: Site) -> None:
    deploy(site, "compared")
    page = open_as(Look())
    page.goto(site.url(DETAIL.format("compared") + "revisions/"))
    page.locator("#from-1").check()
    page.get_by_role("heading", name="compared").hover()
    site.stack.run("rollout", "restart", "deployment/compared")
    expect(page.locator("#revision-2")).to_be_visible()
    expect(page.locator("#from-1")).to_be_checked()


def test_a_notice_stays_until_it_is_closed(open_as: OpenAs, site: Site) -> None:
    deploy(site, "noted")
    page = open_as(Look())
    page.goto(site.url(DETAIL.format("noted")))
    page.get_by_role("button", name="Scale", exact=True).click()
    notice = page.get_by_text("noted is asked to run 0 replicas")
    expect(notice).to_be_visible()

    deploy(site, "noted", reason="look here")
    expect(page.locator("#timeline")).to_contain_text("look here")
    expect(notice).to_be_visible()
    page.get_by_role("button", name="Close this message").click()
    expect(notice).to_be_hidden()


def test_a_page_whose_subject_was_deleted_says_so(open_as: OpenAs, site: Site) -> None:
    deploy(site, "short-lived")
    page = open_as(Look())
    page.goto(site.url(DETAIL.format("short-lived")))
    site.stack.run("delete", "deployment", "short-lived")
    said = page.get_by_role("alert").filter(has_text="This deployment was deleted.")
    expect(said).to_be_visible(timeout=15_000)
    said.get_by_role("link", name="All deployments").click()
    page.wait_for_url("**/deployments/")


def test_a_lost_connection_is_said_and_forgotten(open_as: OpenAs, site: Site) -> None:
    page = open_as(Look())
    page.clock.install()
    page.goto(site.url("/deployments/"))
    page.wait_for_load_state("networkidle")
    page.route("**/deployments/", lambda route: route.fulfill(status=500))
    with page.expect_response(lambda answer: answer.status == 500):
        deploy(site, "while-away")
    page.clock.fast_forward(10_000)
    expect(page.locator("#live")).to_be_visible()
    page.unroute_all()
    page.clock.fast_forward(5_000)
    expect(row(page, "while-away")).to_be_visible()
    expect(page.locator("#live")).to_be_hidden()


def test_keys_type_nothing_and_leave_those_of_the_browser_alone(
    open_as: OpenAs, site: Site
) -> None:
    page = open_as(Look())
    page.goto(site.url(DETAIL.format("held")))
    field = page.get_by_label("Replicas wanted")
    page.keyboard.press("Control+s")
    expect(field).not_to_be_focused()
    page.keyboard.press("s")
    expect(field).to_be_focused()
    expect(field).to_have_value("2")
    page.keyboard.press("l")
    expect(field).to_be_focused()

    page.goto(site.url(DETAIL.format("held") + "logs/"))
    pane = page.locator("#log")
    pane.evaluate(_SCROLLED_UP)
    expect(page.locator("#log-more")).to_be_visible()
    page.keyboard.press("Control+f")
    expect(page.locator("#log-more")).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator("#log-more")).to_be_hidden()

    page.context.add_cookies([{"name": "keys", "value": "off", "url": site.address}])
    page.goto(site.url(DETAIL.format("held")))
    page.keyboard.press("s")
    expect(field).not_to_be_focused()


# As if new lines had come while somebody reads further up.
_SCROLLED_UP = """pane => {
  for (let n = 0; n < 200; n += 1) pane.append(document.createElement("p"), "\\n");
  pane.scrollTop = 0;
  document.getElementById("log-more").hidden = false;
}"""


def test_an_id_is_copied_over_plain_http_too(open_as: OpenAs, site: Site) -> None:
    page = open_as(Look())
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined});")
    page.goto(site.url("/replicas/{replica}/"))
    page.get_by_role("button", name="Copy the id").click()
    expect(page.locator("#announce")).to_have_text("Copied")
    page.get_by_role("searchbox", name="Search").focus()
    page.keyboard.press("Control+v")
    expect(page.get_by_role("searchbox", name="Search")).to_have_value(site.ids["replica"])


@pytest.mark.parametrize("width", [320, 390, 768, 1180])
def test_menus_open_within_the_window(open_as: OpenAs, site: Site, width: int) -> None:
    page = open_as(Look(width=width))
    for path in (DETAIL.format("web"), DETAIL.format("web") + "logs/"):
        page.goto(site.url(path))
        for menu in page.locator("details.menu").all():
            menu.locator("summary").first.click()
            box = menu.locator("> div").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            menu.locator("summary").first.click()
