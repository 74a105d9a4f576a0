"""What people do by clicking: the same operations and roles, one sentence for each failure."""

from __future__ import annotations

from datetime import timedelta
from html import unescape

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from orchestrator.models import Deployment, Event, IdempotentAnswer, Node
from tests.cluster import Cluster, manifest

WEB = "/deployments/default/web/"


def post(client: Client, path: str, **fields: str):
    return client.post(path, {"next": WEB, **fields})


def said(answer) -> str:
    """Return the sentence a form's target left for the next page."""
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.fixture
def operator(cluster: Cluster, browser_of) -> Client:
    cluster.apply(manifest(replicas=2))
    return browser_of("operator")


def test_scaling_changes_the_wish_and_names_who_did_it(operator: Client, cluster: Cluster):
    answer = post(operator, f"{WEB}scale/", replicas="4")

    assert (answer.status_code, answer["Location"]) == (302, WEB)
    assert len(cluster.live()) == 4
    assert Event.objects.filter(reason="Changed", actor="the-operator").exists()


@pytest.mark.parametrize("number", ["", "-1", "four", "5001", "9" * 40, "9" * 5000, "1.5"])
def test_a_number_that_is_none_changes_nothing(operator: Client, number: str):
    answer = post(operator, f"{WEB}scale/", replicas=number)

    assert "nothing was changed" in said(answer)
    assert Deployment.objects.get().replicas == 2


def test_pause_resume_restart_and_roll_back(operator: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=2, image="app:2"))
    post(operator, f"{WEB}pause/")
    assert Deployment.objects.get().paused
    post(operator, f"{WEB}resume/")
    assert not Deployment.objects.get().paused
    post(operator, f"{WEB}restart/")
    assert Deployment.objects.get().revision == 3
    post(operator, f"{WEB}rollback/", revision="1", reason="it was better")
    event = Event.objects.filter(actor="the-operator").latest("pk")
    assert Deployment.objects.get().revision == 4
    assert "it was better" in event.message


def test_rolling_back_to_nowhere_is_one_sentence(operator: Client):
    assert "no earlier revision" in said(post(operator, f"{WEB}rollback/"))


def test_deleting_needs_the_name(operator: Client):
    assert "Nothing was done" in said(post(operator, f"{WEB}delete/", typed="wep"))
    assert not Deployment.objects.get().deleting
    post(operator, f"{WEB}delete/", typed="web")
    assert not Deployment.objects.filter(deleting=False).exists()


def test_many_at_once(operator: Client, cluster: Cluster):
    cluster.apply(manifest(name="api", replicas=1))
    answer = operator.post(
        "/deployments/bulk/", {"verb": "stop", "item": ["default/web", "default/api"]}
    )
    assert answer.status_code == 302
    assert set(Deployment.objects.values_list("replicas", flat=True)) == {0}


def test_many_at_once_name_what_failed(operator: Client):
    answer = operator.post("/deployments/bulk/", {"verb": "stop", "item": ["default/none"]})
    assert '"none" does not exist' in said(answer)


def test_many_at_once_tell_what_was_done_and_what_was_not(operator: Client):
    items = ["default/web", "default/none"]

    sentences = said(operator.post("/deployments/bulk/", {"verb": "restart", "item": items}))

    assert '"none" does not exist' in sentences
    assert "1 deployment restarts" in sentences
    assert Deployment.objects.get().revision == 2


def test_deleting_many_asks_for_a_word_first(operator: Client):
    form = {"verb": "delete", "item": ["default/web"], "next": "/deployments/"}

    page = operator.post("/deployments/bulk/", form)
    again = operator.post("/deployments/bulk/", {**form, "typed": "delete 2"})

    assert "default/web" in page.content.decode()
    assert "Type “delete 1”" in again.content.decode()
    assert not Deployment.objects.get().deleting
    operator.post("/deployments/bulk/", {**form, "typed": "delete 1"})
    assert not Deployment.objects.filter(deleting=False).exists()


def test_a_form_that_is_sent_twice_acts_once(operator: Client):
    first = post(operator, f"{WEB}restart/", once="a")
    second = post(operator, f"{WEB}restart/", once="a")
    assert Deployment.objects.get().revision == 2
    assert said(first) in said(second)

    post(operator, f"{WEB}restart/", once="b")
    assert Deployment.objects.get().revision == 3


def test_a_form_that_is_sent_again_later_is_meant_anew(operator: Client):
    post(operator, f"{WEB}restart/", once="a")
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(seconds=11))

    post(operator, f"{WEB}restart/", once="a")

    assert Deployment.objects.get().revision == 3


def test_a_form_that_failed_may_be_sent_again(operator: Client, cluster: Cluster):
    assert "no earlier revision" in said(post(operator, f"{WEB}rollback/", once="a"))
    cluster.apply(manifest(replicas=2, image="app:2"))

    post(operator, f"{WEB}rollback/", once="a")

    assert Deployment.objects.get().revision == 3


def test_going_back_lets_a_paused_deployment_go_on_or_does_nothing(
    operator: Client, cluster: Cluster
):
    cluster.apply(manifest(replicas=2, image="app:2"))
    post(operator, f"{WEB}pause/")

    post(operator, f"{WEB}rollback/", revision="77", resume="1")
    assert Deployment.objects.get().paused
    post(operator, f"{WEB}rollback/", revision="1", resume="1")
    row = Deployment.objects.get()
    assert (row.paused, row.revision) == (False, 3)


def test_an_ended_login_does_nothing_and_leads_back(operator: Client):
    operator.logout()

    answer = post(operator, f"{WEB}restart/")

    assert answer["Location"] == f"/login/?next={WEB}"
    assert "nothing was done" in said(answer)
    assert Deployment.objects.get().revision == 1


@pytest.mark.parametrize("fields", [{}, {"verb": "explode", "item": "default/web"}])
def test_many_at_once_need_a_choice(operator: Client, fields: dict[str, str]):
    assert "Tick at least one" in said(operator.post("/deployments/bulk/", fields))


@pytest.mark.parametrize("role", ["viewer", ""])
@pytest.mark.parametrize("act", ["scale/", "pause/", "resume/", "restart/", "rollback/", "delete/"])
def test_who_may_only_look_is_told_so(cluster: Cluster, browser_of, role: str, act: str):
    cluster.apply(manifest(replicas=2))

    answer = post(browser_of(role), f"{WEB}{act}", replicas="9", typed="web")

    assert answer.status_code == 403
    assert "this needs the role operator" in unescape(answer.content.decode())
    assert Deployment.objects.get().replicas == 2


def test_a_viewer_sees_disabled_buttons_with_the_reason(cluster: Cluster, browser_of):
    cluster.apply(manifest(replicas=2))

    page = browser_of("viewer").get(WEB).content.decode()

    assert "this needs the role operator, and you are viewer" in page
    assert page.count("disabled") >= 4


def test_only_administrators_cordon(cluster: Cluster, browser_of):
    cluster.apply(manifest(replicas=1))
    name = Node.objects.get().name

    assert post(browser_of("operator"), f"/nodes/{name}/cordon/").status_code == 403
    assert post(browser_of("admin"), f"/nodes/{name}/cordon/").status_code == 302
    assert Node.objects.get().cordoned


def test_a_replica_is_replaced(operator: Client, cluster: Cluster):
    uid = cluster.live()[0].uid

    post(operator, f"/replicas/{uid}/replace/")

    assert uid not in {replica.uid for replica in cluster.live()}
    assert len(cluster.live()) == 2


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/", "javascript:x", ""])
def test_a_form_never_leads_off_the_site(operator: Client, wanted: str):
    answer = operator.post(f"{WEB}pause/", {"next": wanted})

    assert answer["Location"] == "/"


def test_nothing_is_done_by_looking(operator: Client):
    for act in ("scale/", "pause/", "delete/"):
        answer = operator.get(f"{WEB}{act}")
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
        assert "nothing was done" in answer.content.decode()


def test_the_sample_runs_after_one_click(cluster: Cluster, browser_of):
    answer = browser_of("operator").post("/sample/")

    assert answer["Location"] == "/deployments/default/hello/"
    assert Deployment.objects.get().replicas == 3


def test_a_command_runs_without_scripts_and_is_recorded(operator: Client, cluster: Cluster):
    uid = cluster.live()[0].uid

    page = operator.post(f"/replicas/{uid}/run/", {"command": "sh -c 'open", "seconds": "5"})

    assert "cannot be split into words" in unescape(page.content.decode())
    refused = operator.post(f"/replicas/{uid}/run/", {"command": "ls", "seconds": "soon"})
    assert "is no whole number" in unescape(refused.content.decode())
    assert not Event.objects.filter(reason="CommandRun").exists()


@pytest.mark.parametrize("path", ["run/", "run/stream/"])
def test_who_may_only_look_runs_nothing(cluster: Cluster, browser_of, path: str):
    cluster.apply(manifest(replicas=1))
    uid = cluster.live()[0].uid

    answer = browser_of("viewer").post(f"/replicas/{uid}/{path}", {"command": "ls"})

    assert answer.status_code == 403
    assert not Event.objects.filter(reason="CommandRun").exists()
