"""The page on which nodes are rebalanced, and its buttons."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from rest_framework.test import APIClient

from orchestrator.models import Deployment, Rebalance, Replica
from tests.cluster import manifest
from tests.integration.api.requests import apply
from tests.played_nodes import Nodes

PAGE = "/nodes/rebalance/"


@pytest.fixture
def nodes(api: APIClient) -> Nodes:
    """Three replicas of web on n1, and an empty node n2."""
    played = Nodes()
    played.join("n1")
    apply(api, manifest(replicas=3))
    played.settle()
    played.join("n2")
    return played


def text(browser: Client) -> str:
    return unescape(browser.get(PAGE).content.decode())


def press(browser: Client, what: str, **fields: str) -> str:
    answer = browser.post(f"{PAGE}{what}/", {"next": PAGE, **fields})
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def digest_on(page: str) -> str:
    found = re.search(r'name="digest" value="(\w+)"', page)
    assert found is not None
    return found[1]


def test_the_plan_is_shown_begun_followed_and_ended(nodes: Nodes, browser_of):
    operator = browser_of("operator")
    page = text(operator)
    assert "1 move would spread replicas better" in page
    assert "n1 runs 3 of its 3 replicas and n2 0; then 2 and 1" in page
    assert "Make 1 move" in page

    assert "replicas are being moved" in press(operator, "start", digest=digest_on(page))
    nodes.look(Replica.objects.all()[0])
    assert "0 of 1 move has ended" in text(operator)
    assert "has still to serve" in text(operator)
    nodes.settle()

    page = text(operator)
    assert "Nothing to gain" in page
    assert "moved from n1 to n2" in page


def test_it_can_be_cancelled_from_the_page(nodes: Nodes, browser_of):
    operator = browser_of("operator")
    press(operator, "start", digest=digest_on(text(operator)))
    assert "Cancel: begin no further move" in text(operator)

    said = press(operator, "cancel")

    assert "what has moved stays where it is" in said
    assert Rebalance.objects.get().cancelled


def test_another_plan_than_the_one_on_the_page_is_not_carried_out(nodes: Nodes, browser_of):
    said = press(browser_of("operator"), "start", digest="0123456789abcdef")

    assert "look at it again" in said
    assert not Rebalance.objects.exists()


def test_a_viewer_sees_the_plan_and_why_the_button_is_grey(nodes: Nodes, browser_of):
    viewer = browser_of("viewer")

    assert "this needs the role operator, and you are viewer" in text(viewer)
    assert viewer.post(f"{PAGE}start/", {"next": PAGE}).status_code == 403
    assert viewer.post(f"{PAGE}cancel/", {"next": PAGE}).status_code == 403


def test_who_takes_no_part_is_named(nodes: Nodes, browser_of):
    Deployment.objects.update(rollout_state="ReplicaSetUpdated")

    page = text(browser_of("viewer"))

    assert "1 deployment is left out" in page
    assert "default/web: its rollout is not complete" in page
