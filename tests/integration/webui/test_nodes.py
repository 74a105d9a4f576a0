"""Pages of nodes: silence, what is reserved, who waits; forgetting, labels and taints."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from orchestrator.core import samples
from orchestrator.models import Event, MetricBlock, Node, Replica
from tests.cluster import Cluster, manifest

BrowserOf = Callable[[str], Client]
GIB = 2**30


def add(name: str, **more: object) -> None:
    now = timezone.now()
    facts = {"cpu_millis": 4000, "memory_bytes": 8 * GIB, "joined_at": now, "seen_at": now}
    Node.objects.create(name=name, runtimes=["in-memory"], **{**facts, **more})


def text(browser: Client, path: str) -> str:
    """Return what a page says, without its marks."""
    html = re.sub(r"</(dt|dd|td|li|h\d|p|div|b)>", " ", browser.get(path).content.decode())
    html = re.sub(r"<(script|style|svg).*?</\1>", "", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def said(answer) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.fixture
def admin(cluster: Cluster, browser_of: BrowserOf) -> Client:
    return browser_of("admin")


def test_the_map_shows_what_is_broken_first_each_with_its_word(admin: Client):
    add("gone", state="lost", lost_at=ago(12), silent_since=ago(20))
    add("shut", cordoned=True)
    add("quiet", state="suspect", silent_since=ago(4), lost_due_at=ago(-4))

    html = admin.get("/nodes/").content.decode()

    groups = re.findall(r'<section id="condition-(\w+)".*?</section>', html, flags=re.S)
    assert groups == ["lost", "suspect", "cordoned", "ready"]
    assert re.search(r'id="map-gone".*?data-s="bad".*?href="/nodes/gone/".*?Lost,', html, re.S)


def test_a_crowd_gets_a_short_line_each_and_the_broken_ones_a_long_one(admin: Client):
    for number in range(41):
        add(f"crowd-{number}")
    add("gone", state="lost", lost_at=ago(12))

    html = admin.get("/nodes/").content.decode()

    assert 'class="tiles dense crowd" id="ready-nodes"' in html
    assert 'class="tiles dense" id="lost-nodes"' in html
    assert html.count('id="map-crowd-') == 41


def test_a_suspect_node_has_a_countdown(admin: Client):
    add("quiet", state="suspect")

    for path in ("/", "/nodes/", "/nodes/quiet/", "/nodes/quiet/forget/"):
        # Anew for each page: on a busy machine all of them take seconds.
        Node.objects.update(silent_since=ago(4), lost_due_at=ago(-4.4))
        assert "Not heard for 4 s; given up in 4 s unless it answers." in text(admin, path)
    html = admin.get("/nodes/quiet/").content.decode()
    assert 'data-count="up"' in html
    assert 'data-count="down"' in html


def test_a_countdown_that_is_over_says_nothing_negative(admin: Client):
    add("quiet", state="suspect", silent_since=ago(9), lost_due_at=ago(1))

    assert "given up in 0 s unless it answers" in text(admin, "/nodes/quiet/")


def test_a_lost_node_says_since_when_and_what_becomes_of_its_replicas(
    admin: Client, cluster: Cluster
):
    cluster.apply(manifest(replicas=3))
    Node.objects.filter(name="n1").update(state="lost", lost_at=ago(12), silent_since=ago(20))

    shown = text(admin, "/nodes/n1/")

    assert "Given up 12 s ago; its 3 replicas are replaced elsewhere." in shown


def test_the_brake_is_told_on_every_page_of_nodes(admin: Client):
    silent = {"state": "suspect", "doubted": True, "silent_since": ago(30), "lost_due_at": ago(9)}
    add("n2", **silent)
    add("n3", **silent)

    for path in ("/", "/nodes/"):
        shown = text(admin, path)
        assert "Most nodes fell silent at once, so nothing is replaced" in shown
        assert "n2, n3: either they failed together" in shown
    assert "it is not given up, as most nodes fell silent at once" in text(admin, "/nodes/n2/")


def test_what_is_reserved_is_told_in_numbers_and_drawn(admin: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=1))
    Node.objects.update(cpu_millis=4000, memory_bytes=8 * GIB)
    Replica.objects.update(cpu_millis_requested=1500, memory_bytes_requested=GIB // 2)

    for path in ("/nodes/", "/nodes/n1/"):
        shown = text(admin, path)
        assert "CPU 1.5 of 4 cores, 38 %" in shown
        assert "Memory 512 MiB of 8 GiB, 6 %" in shown
    assert 'class="part" width="38"' in admin.get("/nodes/n1/").content.decode()
    assert "CPU reserved 1.5 / 4 cores" in text(admin, "/")


def test_what_is_used_stands_beside_what_is_reserved_while_it_is_measured(
    admin: Client, cluster: Cluster
):
    Node.objects.update(cpu_millis=4000, memory_bytes=8 * GIB)
    block = samples.block([400, 2 * GIB, 0, 0], {})
    MetricBlock.objects.create(node="n1", seconds=0, at=timezone.now(), samples=block)

    fresh, drawn = text(admin, "/nodes/n1/"), admin.get("/nodes/").content.decode()
    MetricBlock.objects.update(at=timezone.now() - timedelta(minutes=1))
    stale = text(admin, "/nodes/n1/")

    assert "CPU 0 of 4 cores, 0 %, 0.4 cores used" in fresh
    assert "Memory 0 B of 8 GiB, 0 %, 2 GiB used" in fresh
    assert 'class="used" y="5" width="10"' in drawn
    assert "0.4 cores used" not in stale


def test_a_node_that_gave_away_more_than_it_has_is_marked(admin: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=1))
    Node.objects.update(cpu_millis=1000, memory_bytes=0)
    Replica.objects.update(cpu_millis_requested=1500)

    html = admin.get("/nodes/n1/").content.decode()

    assert 'class="part" width="100"' in html
    assert "1.5 of 1 cores, 150 %" in html
    assert "the node tells no capacity" in html


def test_who_waits_for_a_node_is_told_with_what_would_help(admin: Client, cluster: Cluster):
    Node.objects.update(memory_bytes=GIB)
    cluster.apply(manifest(replicas=2, memory="9Gi"))
    uid = Replica.objects.filter(node=None).order_by("uid")[0].uid

    for path in ("/nodes/", "/nodes/n1/"):
        shown = text(admin, path)
        assert "web 2 replicas," in shown
        assert "it would fit on n1 with memory ≤" in shown
        assert f"/replicas/{uid}/#places" in admin.get(path).content.decode()
    assert "Nearest way out: it would fit on n1" in text(admin, f"/replicas/{uid}/")


def test_a_node_that_is_heard_cannot_be_forgotten_and_the_page_says_why(admin: Client):
    shown = admin.get("/nodes/n1/forget/").content.decode()
    answer = admin.post("/nodes/n1/forget/confirm/", {"typed": "n1"})

    assert "n1 is heard, so it cannot be forgotten" in shown
    assert re.search(r'<button class="btn danger" disabled>', shown)
    assert "is heard; drain it" in said(answer)
    assert Node.objects.filter(name="n1").exists()


def test_a_lost_node_is_forgotten_when_its_name_was_typed(admin: Client):
    add("gone", state="lost", lost_at=ago(12))
    page = admin.get("/nodes/gone/forget/").content.decode()

    wrong = admin.post("/nodes/gone/forget/confirm/", {"typed": "gonne"})
    still = Node.objects.filter(name="gone").exists()
    right = admin.post("/nodes/gone/forget/confirm/", {"typed": "gone", "next": "/nodes/"})

    assert "/api/v1/nodes/gone/forget/" in page
    assert "Nothing was done" in said(wrong)
    assert still
    assert right["Location"] == "/nodes/"
    assert said(right).endswith("node gone is forgotten")
    assert not Node.objects.filter(name="gone").exists()
    assert Event.objects.filter(reason="NodeForgotten", actor="the-admin", verb="forget").exists()


@pytest.mark.parametrize("path", ["forget/confirm/", "marks/save/"])
def test_only_an_administrator_may(cluster: Cluster, browser_of: BrowserOf, path: str):
    add("gone", state="lost", lost_at=ago(12))
    operator = browser_of("operator")

    answer = operator.post(f"/nodes/gone/{path}", {"typed": "gone", "labels": "zone=a"})

    assert answer.status_code == 403
    assert "this needs the role admin" in text(operator, f"/nodes/gone/{path.partition('/')[0]}/")
    assert Node.objects.get(name="gone").given_labels == {}


def test_labels_and_taints_are_what_was_typed(admin: Client):
    typed = {
        "labels": "zone=a\r\n\r\ndisk = ssd ",
        "taints": "gpu=yes:NoSchedule\r\nold:NoSchedule",
    }

    answer = admin.post("/nodes/n1/marks/save/", {**typed, "next": "/nodes/n1/"})

    node = Node.objects.get()
    assert answer.status_code == 302
    assert node.given_labels == {"zone": "a", "disk": "ssd"}
    assert [taint["key"] for taint in node.taints] == ["gpu", "old"]
    assert "taint gpu=yes:NoSchedule" in text(admin, "/nodes/n1/")


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ({"labels": "zone"}, '"zone" is no label; write key=value'),
        ({"labels": "a=1\na=2"}, "The label a is there twice"),
        ({"taints": "gpu"}, '"gpu" is no taint; write key=value:Effect'),
        ({"taints": "gpu:Never"}, "taints[0].effect"),
        ({"labels": "kubernetes.io/os=bsd"}, "is set by node n1 itself"),
    ],
)
def test_what_cannot_be_is_told_beside_what_was_typed(
    admin: Client, typed: dict[str, str], why: str
):
    answer = admin.post("/nodes/n1/marks/save/", typed)

    shown = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert why in shown
    assert all(f">{value}</textarea>" in shown for value in typed.values())
    assert (Node.objects.get().given_labels, Node.objects.get().taints) == ({}, [])


def test_a_form_changes_nothing_that_somebody_else_changed_meanwhile(admin: Client):
    before = {"labels_before": "zone=a", "taints_before": "gpu:NoSchedule"}
    mine = {"labels": "zone=b", "taints": "gpu:NoSchedule\nold:NoSchedule"}
    theirs = [{"key": "new", "value": "", "effect": "NoSchedule"}]
    Node.objects.update(given_labels={"zone": "a", "disk": "ssd"}, taints=theirs)

    admin.post("/nodes/n1/marks/save/", {**before, **mine})

    node = Node.objects.get()
    assert node.given_labels == {"zone": "b", "disk": "ssd"}
    assert sorted(taint["key"] for taint in node.taints) == ["new", "old"]


def test_a_refused_node_says_what_to_do(admin: Client):
    note = "its reports are refused: one of the clocks is wrong: set it (NTP)"
    Node.objects.update(refusal=note, refused_at=ago(5))

    assert f"{note} (5 s ago)" in text(admin, "/nodes/n1/")
    assert "Ready, with a note" in text(admin, "/nodes/")


def test_a_drained_node_is_not_ready_for_new_ones(admin: Client):
    add("empty", cordoned=True, draining=True, drained_at=ago(5))

    shown = text(admin, "/nodes/")

    assert "Empty 1" in shown
