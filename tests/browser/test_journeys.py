"""What people do, from the first run to a rollback, in a real browser on the running system."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audit import shoot
from tests.browser.sites import Look, Site
from tests.stack import Stack, free_port

pytestmark = pytest.mark.browser

OpenAs = Callable[[Look], Page]
HELLO = "/deployments/default/hello/"


@pytest.fixture(scope="module")
def empty(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A system nobody has used yet."""
    del chromium
    stack = Stack(tmp_path_factory.mktemp("first-run") / "home", free_port(), "sandbox")
    stack.start()
    try:
        yield stack
    finally:
        stack.end()
        stack.run("down")


@pytest.mark.timeout(240)
def test_first_run_sample_scale_roll_failing_roll_and_the_way_back(empty: Stack, chrome) -> None:
    # The password is shown once where `up` runs; a new one is as good.
    empty.run("shell", "-c", _NEW_PASSWORD)
    page = chrome.new_context(base_url=f"http://127.0.0.1:{empty.port}", locale="en-GB").new_page()
    page.goto("/")
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    shoot(page, "journey-1-welcome")

    page.get_by_role("button", name="Run the sample").click()
    page.wait_for_url(f"**{HELLO}")
    head = page.locator("#head .pill")
    expect(head).to_have_text("Running 3/3", timeout=30_000)
    shoot(page, "journey-2-sample")

    page.get_by_label("Replicas wanted").fill("4")
    page.get_by_role("button", name="Scale", exact=True).click()
    expect(head).to_have_text("Running 4/4", timeout=30_000)

    edit_yaml(page, lambda text: text.replace("echo hello from", "echo good day from"))
    expect(head).to_have_text("Running 4/4", timeout=60_000)
    expect(page.get_by_role("heading", name="Revision 2", exact=True)).to_be_visible(timeout=30_000)
    shoot(page, "journey-3-rolled")

    edit_yaml(page, broken)
    expect(page.locator("#why")).to_contain_text("in trouble", timeout=30_000)
    shoot(page, "journey-4-failing")
    expect(page.get_by_role("heading", name="Revision 4", exact=True)).to_be_visible(timeout=60_000)
    expect(head).to_have_text("Running 4/4", timeout=60_000)
    shoot(page, "journey-5-rolled-back")
    page.get_by_role("link", name="Revisions", exact=True).click()
    expect(page.locator("#revision-3")).to_contain_text("failed")
    expect(page.locator("#revision-4")).to_contain_text("rollback")
    page.context.close()


PASSWORD = "correct horse battery"
_NEW_PASSWORD = f"""
from django.contrib.auth.models import User
user = User.objects.get(username="admin")
user.set_password({PASSWORD!r})
user.save()
"""


def edit_yaml(page: Page, change: Callable[[str], str]) -> None:
    page.goto(f"{HELLO}edit/?mode=yaml")
    field = page.get_by_label("Manifest")
    field.fill(change(field.input_value()))
    page.get_by_role("button", name="Check and review").click()
    page.get_by_role("button", name="Deploy").click()
    page.wait_for_url(f"**{HELLO}")


def broken(text: str) -> str:
    """Return the manifest with a command that fails, given up after a few seconds."""
    return text.replace("echo good day", "echo no configuration; exit 3; echo").replace(
        "replicas: 4", "replicas: 4\n  progressDeadlineSeconds: 8"
    )


def test_a_mistake_in_yaml_is_named_with_its_line(open_as: OpenAs, site: Site) -> None:
    page = open_as(Look())
    page.goto(site.url("/deployments/new/?mode=yaml"))
    field = page.get_by_label("Manifest")
    field.fill(field.input_value().replace("replicas: 2", "replicsa: 2"))
    page.get_by_role("button", name="Check and review").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("replicsa")
    expect(alert).to_contain_text("replicas")
    expect(alert).to_contain_text("line 6")
    expect(page.get_by_label("Manifest")).to_have_value(re.compile("replicsa"))


def test_a_log_is_followed_and_stops_at_a_scroll(open_as: OpenAs, site: Site) -> None:
    site.stack.run("apply", "-f", "-", "--wait", text=CHATTY)
    page = open_as(Look())
    page.goto(site.url("/deployments/default/chatty/logs/"))
    expect(page.locator("#log-state")).to_have_text("Following", timeout=10_000)
    lines = page.locator("#log p")
    before = lines.count()
    expect(lines.nth(before + 20)).to_be_attached(timeout=10_000)
    page.locator("#log").evaluate("pane => { pane.scrollTop = 0; }")
    expect(page.locator("#log-more")).to_be_visible(timeout=10_000)
    assert page.locator("#log").evaluate("pane => pane.scrollTop") == 0
    page.locator("#log-more").click()
    expect(page.locator("#log-more")).to_be_hidden()
    page.goto(site.url("/deployments/default/chatty/logs/?q=ERROR&level=error"))
    expect(page.locator("#log p").first).to_contain_text("ERROR")
    assert all("ERROR" in text for text in page.locator("#log p").all_inner_texts())


def test_a_followed_log_misses_nothing_and_repeats_nothing(open_as: OpenAs, site: Site) -> None:
    site.stack.run("apply", "-f", "-", "--wait", text=CHATTY.replace("chatty", "counting"))
    page = open_as(Look())
    # What comes between the page and its stream would be lost if that began with the next line.
    page.route("**/logs/stream/**", lambda route: (time.sleep(1), route.continue_()))
    page.goto(site.url("/deployments/default/counting/logs/"))
    lines = page.locator("#log p")
    expect(lines.nth(lines.count() + 80)).to_be_attached(timeout=15_000)
    site.stack.kill("uvicorn")
    expect(page.locator("#log-state")).to_have_text("Following", timeout=20_000)
    site.stack.run("scale", "deployment/counting", "--replicas", "3")
    expect(page.locator("#log .from").get_by_text(_newest(site, "counting")).first).to_be_attached(
        timeout=20_000
    )
    told: dict[str, list[int]] = {}
    for text in page.locator("#log p:not(.note)").all_text_contents():
        source, word, number = text.split()
        if word == "line":
            told.setdefault(source, []).append(int(number))
    assert len(told) == 3
    for numbers in told.values():
        assert numbers == list(range(numbers[0], numbers[-1] + 1))


def _newest(site: Site, name: str) -> str:
    rows = site.stack.wait_for(
        lambda: (
            (rows := [row for row in site.stack.ready() if row["deployment"] == name])[2:] and rows
        )
    )
    return max(rows, key=lambda row: row["created_at"])["uid"][:6]


CHATTY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: chatty}
spec:
  replicas: 2
  template:
    spec:
      runtimeClassName: sandbox
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: host
        command:
        - sh
        - -c
        - 'i=0; while true; do i=$((i+1)); echo line $i; echo ERROR $i; sleep 0.1; done'
"""


def test_nothing_moves_under_the_hand(open_as: OpenAs, site: Site) -> None:
    """Twenty changes leave ticks, focus, scroll, open parts and typed text as they were."""
    page = open_as(Look())
    page.set_viewport_size({"width": 1180, "height": 420})
    page.goto(site.url("/deployments/"))
    page.get_by_label("Tick web").check()
    field = page.get_by_placeholder("Part of a name")
    field.fill("half a na")
    page.mouse.wheel(0, 120)
    page.wait_for_timeout(300)
    row = page.locator("[id='row-default.web']").element_handle()
    at = page.evaluate(TOP, row)
    for number in range(20):
        site.stack.run("apply", "-f", "-", text=changing(number, "newcomer"))
    page.wait_for_timeout(1000)
    expect(page.get_by_label("Tick web")).to_be_checked()
    expect(field).to_have_value("half a na")
    expect(field).to_be_focused()
    # What is above may grow by a chip; the row stays where it is before the eyes.
    assert abs(page.evaluate(TOP, row) - at) < 2
    # The new row waits behind a chip while something is ticked.
    expect(page.locator("[data-pending-for=rows]")).to_be_visible()
    assert page.locator("[id='row-default.newcomer']").count() == 0
    page.locator("[data-pending-for=rows]").click()
    expect(page.locator("[id='row-default.newcomer']")).to_be_visible()


TOP = "row => row.isConnected ? row.getBoundingClientRect().top : NaN"


def changing(number: int, name: str = "changing") -> str:
    return CHATTY.replace("chatty", name).replace("replicas: 2", f"replicas: {number % 2}")


def test_two_people_editing(open_as: OpenAs, site: Site) -> None:
    site.stack.run("apply", "-f", "-", text=changing(0))
    mine, theirs = open_as(Look()), open_as(Look(role="operator"))
    for page in (mine, theirs):
        page.goto(site.url("/deployments/default/changing/edit/?mode=yaml"))
    field = theirs.get_by_label("Manifest")
    field.fill(field.input_value().replace("replicas: 0", "replicas: 1"))
    theirs.get_by_role("button", name="Check and review").click()
    theirs.get_by_role("button", name="Deploy").click()
    theirs.wait_for_url("**/changing/")
    field = mine.get_by_label("Manifest")
    field.fill(field.input_value().replace("replicas: 0", "replicas: 2"))
    mine.get_by_role("button", name="Check and review").click()
    expect(mine.get_by_role("alert")).to_contain_text("Somebody changed this deployment")
    shoot(mine, "journey-conflict")


def test_who_may_only_look_sees_why(open_as: OpenAs, site: Site) -> None:
    page = open_as(Look(role="viewer"))
    page.goto(site.url("/deployments/default/web/"))
    button = page.get_by_role("button", name="Scale", exact=True)
    expect(button).to_be_disabled()
    assert "needs the role operator" in str(button.get_attribute("title"))


@pytest.mark.timeout(180)
def test_a_broker_that_is_away_is_said_and_forgotten(open_as: OpenAs, site: Site) -> None:
    page = open_as(Look())
    page.goto(site.url("/"))
    pid = site.stack.pid_of("redis-server", "valkey-server")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(3)
        page.goto(site.url("/"))
        expect(page.locator("#notices")).to_contain_text("broker does not answer")
        shoot(page, "journey-broker-down")
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(page.locator("#notices")).not_to_contain_text("broker", timeout=30_000)


def test_a_change_is_on_the_screen_soon(open_as: OpenAs, site: Site) -> None:
    """Not a timed test: that it comes by itself is the point; `bench live` measures how fast."""
    page = open_as(Look())
    page.goto(site.url("/deployments/default/web/"))
    site.stack.run("apply", "-f", "-", text=_WEB_PAUSED)
    expect(page.locator("#head .pill")).to_contain_text("Paused", timeout=10_000)
    site.stack.run("apply", "-f", "-", text=_WEB_PAUSED.replace("paused: true", "paused: false"))
    expect(page.locator("#head .pill")).to_have_text("Running 2/2", timeout=20_000)


_WEB_PAUSED = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  paused: true
  template:
    spec:
      runtimeClassName: sandbox
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: host
        command: [sh, -c, "echo version 2; exec sleep 600"]
        resources: {limits: {memory: 32Mi}}
"""
