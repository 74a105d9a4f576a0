"""Form and YAML over one draft: nothing is lost between them, and nothing wrong gets through."""

from __future__ import annotations

from html import unescape

import pytest
import yaml
from django.test import Client

from orchestrator.models import Deployment
from tests.cluster import Cluster, manifest

NEW = "/deployments/new/"
EDIT = "/deployments/default/web/edit/"
FORM = {
    "mode": "form",
    "name": "web",
    "namespace": "default",
    "image": "shop/web:1",
    "replicas": "2",
    "port": "8080",
    "health": "/healthz",
    "command": "",
    "variables": "MODE=fast\n# a comment\nexport GREETING='hello world'",
    "cpu": "",
    "memory": "64Mi",
}


@pytest.fixture
def operator(cluster: Cluster, browser_of) -> Client:
    del cluster
    return browser_of("operator")


def text_of(answer) -> str:
    return unescape(answer.content.decode())


def draft_of(answer) -> str:
    """Return the draft the page carries on."""
    return answer.context["draft"].text


def test_a_form_becomes_a_deployment(operator: Client):
    review = operator.post(NEW, {**FORM, "step": "review"})
    assert review.status_code == 200
    assert "Starts 2 replicas" in text_of(review)

    done = operator.post(
        NEW, {"mode": "yaml", "draft": draft_of(review), "base": "0", "step": "deploy"}
    )

    assert done["Location"] == "/deployments/default/web/"
    container = Deployment.objects.get().manifest["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [
        {"name": "MODE", "value": "fast"},
        {"name": "GREETING", "value": "hello world"},
    ]
    assert container["readinessProbe"] == {"httpGet": {"path": "/healthz", "port": 8080}}


def test_the_form_keeps_what_it_does_not_show(operator: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=2))
    before = Deployment.objects.get().manifest
    page = operator.get(EDIT)
    fields = {**page.context["form"].initial, "replicas": "3", "mode": "form"}

    review = operator.post(EDIT, {**fields, "draft": draft_of(page), "step": "review"})

    after = yaml.safe_load(draft_of(review))
    before["spec"]["replicas"] = 3
    assert after["spec"] == before["spec"]


def test_both_sides_show_the_same_draft(operator: Client):
    as_yaml = operator.post(NEW, {**FORM, "step": "yaml"})
    assert "image: shop/web:1" in draft_of(as_yaml)
    back = operator.post(
        NEW,
        {"mode": "yaml", "draft": draft_of(as_yaml).replace("web:1", "web:2"), "step": "form"},
    )
    assert back.context["form"].initial["image"] == "shop/web:2"
    assert back.context["form"].initial["health"] == "/healthz"


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        ("", "no document"),
        ("a: [", "line"),
        ("kind: Deployment\nspec: 3", "apiVersion"),
        ("[1, 2]", "1"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}", "exactly one manifest"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: 7\nspec: []", "metadata"),
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {containers: 1}}}", "s"),
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {containers: [1]}}}", "s"),
    ],
)
@pytest.mark.parametrize("step", ["review", "deploy", "form"])
def test_a_mistake_in_yaml_is_named_and_kept_on_the_page(
    operator: Client, draft: str, words: str, step: str
):
    answer = operator.post(NEW, {"mode": "yaml", "draft": draft, "step": step})

    assert answer.status_code == (200 if step == "form" else 422)
    assert step == "form" or words in text_of(answer)
    posted = operator.post(NEW, {**FORM, "draft": draft, "step": "yaml"})
    assert posted.status_code == 200
    assert not Deployment.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("image", "", "required"),
        ("replicas", "-1", "greater than or equal"),
        ("variables", "no equals sign", "Line 1"),
        ("command", 'sh -c "open', "cannot be split"),
        ("port", "", "needs the port"),
        ("cpu", "much", "cpu"),
        ("name", "Not A Name", "name"),
    ],
)
def test_a_mistake_in_the_form_is_told_by_the_field(
    operator: Client, field: str, value: str, words: str
):
    answer = operator.post(NEW, {**FORM, field: value, "step": "review"})

    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not Deployment.objects.exists()


def test_two_people_editing_meet(operator: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=2))
    mine = operator.get(f"{EDIT}?mode=yaml")
    draft = draft_of(mine).replace("replicas: 2", "replicas: 5")
    cluster.apply(manifest(replicas=3))

    answer = operator.post(
        EDIT,
        {"mode": "yaml", "draft": draft, "base": str(mine.context["draft"].base), "step": "deploy"},
    )

    assert answer.status_code == 409
    assert "Somebody changed this deployment" in text_of(answer)
    assert Deployment.objects.get().replicas == 3
    again = {"mode": "yaml", "draft": draft_of(answer), "step": "deploy"}
    operator.post(EDIT, {**again, "base": str(answer.context["generation"])})
    assert Deployment.objects.get().replicas == 5


@pytest.mark.parametrize("base", [{}, {"base": ""}, {"base": "-1"}, {"base": "9" * 20}])
def test_a_draft_that_does_not_say_where_it_began_changes_nothing(
    operator: Client, cluster: Cluster, base: dict[str, str]
):
    cluster.apply(manifest(replicas=2))
    draft = draft_of(operator.get(f"{EDIT}?mode=yaml")).replace("replicas: 2", "replicas: 5")

    answer = operator.post(EDIT, {"mode": "yaml", "draft": draft, "step": "deploy", **base})

    assert answer.status_code == 409
    assert Deployment.objects.get().replicas == 2


def test_a_form_takes_one_document_and_warns_of_comments(operator: Client):
    one = draft_of(operator.post(NEW, {**FORM, "step": "yaml"}))

    several = {"mode": "yaml", "draft": f"{one}---\n{one}", "step": "form"}
    commented = {"mode": "yaml", "draft": f"# why\n{one}", "step": "form"}

    assert "exactly one manifest" in text_of(operator.post(NEW, several))
    answer = operator.post(NEW, commented)
    assert "Comments in the YAML go" in text_of(answer)
    assert draft_of(answer).startswith("# why")


def test_a_deployment_cannot_be_renamed_by_editing(operator: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=2))
    draft = draft_of(operator.get(EDIT)).replace("name: web", "name: wob", 1)

    answer = operator.post(EDIT, {"mode": "yaml", "draft": draft, "step": "review"})

    assert "cannot be renamed" in text_of(answer)


def test_what_exists_is_not_made_again(operator: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=2))

    answer = operator.post(NEW, {**FORM, "step": "review"})

    assert "exists already" in text_of(answer)


def test_regrets_are_warned_of(operator: Client):
    answer = operator.post(
        NEW, {**FORM, "image": "shop/web", "health": "", "memory": "", "step": "review"}
    )

    for words in ("no fixed tag", "No readiness probe", "No memory limit"):
        assert words in text_of(answer)


def test_who_may_only_look_cannot_edit(cluster: Cluster, browser_of):
    cluster.apply(manifest(replicas=2))
    viewer = browser_of("viewer")

    assert [viewer.get(path).status_code for path in (NEW, EDIT)] == [403, 403]
