"""The pages of use and of autoscalers: what is shown, tried, saved, and who owns the number."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from orchestrator.models import Autoscaler, Deployment, ScalingDecision
from orchestrator.operations import autoscaling, measurements
from tests.cluster import Cluster, manifest
from tests.integration.test_measurements import told, uses
from tests.integration.webui.test_acts import WEB, post, said

HERE = f"{WEB}autoscaler/"
FIELDS = {"minimum": "1", "maximum": "6", "cpu": "50", "window": "0", "schedule": ""}


@pytest.fixture
def operator(cluster: Cluster, browser_of) -> Client:
    """An operator's browser, and two replicas that have been measured for ten minutes."""
    limits = "{memory: 64Mi, cpu: 100m}"
    cluster.apply(manifest(replicas=2).replace("{memory: 64Mi}", limits))
    begin = timezone.now() - timedelta(minutes=10)
    for index in range(40):
        looks = [uses(one, 90 if index // 10 % 2 else 5) for one in cluster.live()]
        at = begin + timedelta(seconds=15 * index)
        measurements.take(told(index + 1, *looks), now=at)
    return browser_of("operator")


def test_the_form_makes_an_autoscaler_that_owns_the_number(operator: Client):
    answer = post(operator, f"{HERE}save/", **FIELDS)

    row = Autoscaler.objects.get()
    assert "is saved" in said(answer)
    assert (row.target, row.manifest["spec"]["maxReplicas"]) == ("web", 6)
    assert Deployment.objects.get().scaled_by == "web"


def test_the_form_keeps_what_it_does_not_show(operator: Client):
    post(operator, f"{HERE}save/", **FIELDS)
    Autoscaler.objects.update(
        manifest=Autoscaler.objects.get().manifest
        | {"metadata": {"name": "web", "namespace": "default", "labels": {"team": "a"}}}
    )

    post(operator, f"{HERE}save/", **FIELDS | {"schedule": "0 8 * * * for 1h min 3"})

    metadata = Autoscaler.objects.get().manifest["metadata"]
    assert metadata["labels"] == {"team": "a"}
    assert metadata["annotations"] == {"kijabi.dev/schedule": "0 8 * * * for 1h min 3"}


@pytest.mark.parametrize(
    ("wrong", "told_so"),
    [
        pytest.param({"minimum": "9"}, "more than maxReplicas, which is 6", id="crossed-bounds"),
        pytest.param({"schedule": "noon"}, "is no window; write one as", id="no-window"),
        pytest.param({"maximum": "many"}, "Enter a whole number", id="no-number"),
        pytest.param({"minimum": "-1"}, "greater than or equal to 0", id="below-nothing"),
        pytest.param({"cpu": "0"}, "greater than or equal to 1", id="a-share-of-0"),
        pytest.param({"minimum": "0"}, "nothing tells when to come back", id="never-woken"),
        pytest.param(
            {"schedule": "0 8 * * * for 1h in Mars/Olympus min 2"},
            "which is not known here; use one such as Europe/Berlin",
            id="no-time-zone",
        ),
    ],
)
def test_what_is_wrong_is_said_beside_the_form(operator: Client, wrong, told_so):
    answer = post(operator, f"{HERE}save/", **FIELDS | wrong)

    assert told_so in answer.content.decode()
    assert not Autoscaler.objects.exists()


def test_a_change_is_tried_before_it_is_saved(operator: Client):
    post(operator, f"{HERE}save/", **FIELDS | {"window": "300"})

    answer = post(operator, f"{HERE}try/", **FIELDS)

    course = answer.context["backtest"]
    assert course.changed.replica_hours < course.present.replica_hours
    assert 'id="backtest"' in answer.content.decode()
    behavior = Autoscaler.objects.get().manifest["spec"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_decisions_are_shown_with_their_arithmetic(operator: Client):
    post(operator, f"{HERE}save/", **FIELDS)
    autoscaling.run(now=timezone.now())

    page = operator.get(HERE).content.decode()

    assert ScalingDecision.objects.get().message in page.replace("&#x27;", "'")


def test_who_owns_the_number_is_said_and_scaling_is_not_offered(operator: Client):
    before = operator.get(WEB).content.decode()
    post(operator, f"{HERE}save/", **FIELDS)
    after = operator.get(WEB).content.decode()

    assert ("set by the manifest" in before, f"{WEB}scale/" in before) == (True, True)
    assert ("set by autoscaler web" in after, f"{WEB}scale/" in after) == (True, False)


def test_who_sleeps_says_so_and_whose_the_number_is(operator: Client):
    post(operator, f"{HERE}save/", **FIELDS | {"minimum": "0", "requests": "10"})
    Deployment.objects.update(replicas=0, autoscaled=0, phase="Available")

    page = operator.get(WEB).content.decode()

    assert ("Asleep" in page, "Stopped" in page) == (True, False)
    assert ("set by autoscaler web" in page, f"{WEB}scale/" in page) == (True, False)


def test_scaling_all_the_same_is_answered_with_the_way_out(operator: Client):
    post(operator, f"{HERE}save/", **FIELDS)

    assert "owns the number of replicas" in said(post(operator, f"{WEB}scale/", replicas="4"))


def test_after_deleting_it_the_number_stays(operator: Client):
    post(operator, f"{HERE}save/", **FIELDS)

    answer = post(operator, f"{HERE}delete/")

    assert "the number of replicas stays" in said(answer)
    assert (Autoscaler.objects.count(), Deployment.objects.get().replicas) == (0, 2)


def test_a_viewer_sees_all_and_saves_nothing(operator: Client, browser_of):
    viewer = browser_of("viewer")

    answer = post(viewer, f"{HERE}save/", **FIELDS)

    assert (viewer.get(HERE).status_code, answer.status_code) == (200, 403)
    assert not Autoscaler.objects.exists()


@pytest.mark.parametrize("page", [f"{WEB}use/", "/replicas/{uid}/use/", "/nodes/n1/use/"])
def test_use_is_drawn_with_the_table_behind_it(operator: Client, cluster: Cluster, page: str):
    answer = operator.get(page.format(uid=cluster.live()[0].uid) + "?range=15m")

    text = answer.content.decode()
    drawn = {chart.key for chart in answer.context["charts"]}
    assert {"cpu", "memory"} <= drawn
    is_node = page.startswith("/nodes")
    said = "no gateway reports any" in text
    assert ("<polyline" in text, said) == (True, not is_node)


def test_nothing_measured_is_said(operator: Client, cluster: Cluster):
    cluster.apply(manifest(name="idle", replicas=0))

    assert "Nothing was measured" in operator.get("/deployments/default/idle/use/").content.decode()


def test_the_form_lets_it_sleep_while_no_request_comes(operator: Client):
    sleepy = FIELDS | {"minimum": "0", "cpu": "", "requests": "50"}

    refused = post(operator, f"{HERE}save/", **FIELDS | {"minimum": "0"})
    post(operator, f"{HERE}save/", **sleepy)

    assert "nothing tells when to come back" in refused.content.decode()
    row = Autoscaler.objects.get()
    [metric] = row.manifest["spec"]["metrics"]
    assert metric["pods"]["metric"] == {"name": "requests_per_second"}
    assert (row.may_sleep, metric["pods"]["target"]["averageValue"]) == (True, "50")
    assert 'value="50"' in operator.get(HERE).content.decode()
