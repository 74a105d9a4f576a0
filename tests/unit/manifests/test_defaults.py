"""What is filled in, what is dropped, and what makes no difference."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.manifests import deployment as meaning
from orchestrator.manifests.manifest import from_object, parse
from orchestrator.manifests.problems import ManifestInvalid
from tests.unit.manifests.samples import FROM_KUBECTL, NGINX, WEB, only


def container(full: dict[str, Any]) -> dict[str, Any]:
    return full["spec"]["template"]["spec"]["containers"][0]


def test_a_manifest_knows_what_it_is():
    manifest = only(NGINX)

    assert (manifest.api_version, manifest.kind) == ("apps/v1", "Deployment")
    assert (manifest.namespace, manifest.name) == ("default", "nginx-deployment")


def test_every_default_of_a_deployment():
    spec = only(NGINX).full["spec"]
    template = spec.pop("template")["spec"]

    assert spec == {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "nginx"}},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        },
        "minReadySeconds": 0,
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 10,
        "paused": False,
    }
    assert template.pop("containers")[0] == {
        "name": "nginx",
        "image": "nginx:1.14.2",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "resources": {},
        "imagePullPolicy": "IfNotPresent",
    }
    assert template == {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30}


def test_every_default_of_a_probe():
    assert container(only(WEB).full)["readinessProbe"] == {
        "httpGet": {"port": "http", "path": "/", "scheme": "HTTP"},
        "initialDelaySeconds": 0,
        "periodSeconds": 10,
        "timeoutSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_what_was_written_stays_as_it_was_and_comes_first():
    manifest = only(WEB)

    assert manifest.written["spec"].keys() == {"replicas", "template"}
    assert list(manifest.full["spec"])[:2] == ["replicas", "template"]
    assert container(manifest.written)["resources"] == {"limits": {"cpu": "500m", "memory": "64Mi"}}


def test_what_kubectl_prints_can_be_applied_and_changes_nothing():
    pasted, original = only(FROM_KUBECTL), only(NGINX)

    pasted_template = meaning.template_of(pasted.full)
    original_template = meaning.template_of(original.full)

    assert meaning.spec_of(pasted.full) == meaning.spec_of(original.full)
    assert meaning.rollout_hash(pasted_template) == meaning.rollout_hash(original_template)


def test_what_servers_add_is_dropped():
    written = only(FROM_KUBECTL).written

    assert written.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert written["metadata"] == {
        "annotations": {"deployment.kubernetes.io/revision": "1"},
        "labels": {"app": "nginx"},
        "name": "nginx-deployment",
        "namespace": "default",
    }
    assert written["spec"]["template"]["metadata"] == {"labels": {"app": "nginx"}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("replicas: 3", "replicas: 3\n  minReadySeconds: 0\n  paused: false"),
        ("replicas: 3", "replicas: 3\n  strategy: {type: RollingUpdate}"),
        ("replicas: 3", "replicas: 3\n  selector: {matchLabels: {app: web}}"),
        ("replicas: 3", "replicas: 3\n  selector: {matchLabels: {}}"),
        ("name: web\nspec", "name: web\n  namespace: default\nspec"),
        ("image: nginx:1.27", "image: nginx:1.27\n        imagePullPolicy: IfNotPresent"),
        ("memory: 64Mi}", "memory: 64Mi}, requests: {memory: 64Mi}"),
        ("replicas: 3", "replicas: 3\n  strategy: null"),
    ],
)
def test_a_default_written_out_is_no_difference(old: str, new: str):
    assert only(WEB.replace(old, new, 1)).full == only(WEB).full


def test_without_a_selector_the_labels_of_the_template_are_selected():
    text = WEB.replace("  template:\n", "  template:\n    metadata: {labels: {tier: front}}\n")

    assert only(text).full["spec"]["selector"] == {"matchLabels": {"tier": "front"}}


def test_without_labels_the_template_gets_those_the_selector_wants():
    text = WEB.replace("replicas: 3", "selector: {matchLabels: {tier: front}}")

    assert only(text).full["spec"]["template"]["metadata"]["labels"] == {"tier": "front"}


def test_requests_default_to_limits_one_by_one():
    text = WEB.replace("{limits: {cpu: 500m,", "{requests: {cpu: 100m}, limits: {cpu: 500m,")

    assert container(only(text).full)["resources"]["requests"] == {"cpu": "100m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:latest@sha256:abc", "IfNotPresent"),
        ("host", "IfNotPresent"),
        ("/srv/root", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str):
    assert container(only(WEB.replace("nginx:1.27", image)).full)["imagePullPolicy"] == policy


def test_a_namespace_has_a_name_and_no_namespace():
    manifest = only("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, namespace: x}\n")

    assert (manifest.namespace, manifest.name) == ("", "shop")


def test_documents_and_lists_give_manifests_in_their_order():
    space = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"

    found = parse(f"{space}---\n{FROM_KUBECTL}---\n{WEB}")

    assert [manifest.name for manifest in found] == ["shop", "nginx-deployment", "web"]


def test_one_name_in_two_namespaces_is_two_objects():
    other = WEB.replace("name: web\nspec", "name: web\n  namespace: shop\nspec")

    assert len(parse(f"{WEB}---\n{other}")) == 2


@pytest.mark.parametrize("text", ["", "---\n---\n", "# nothing\n", "kind: List\nitems: []\n"])
def test_a_text_without_a_manifest_is_refused(text: str):
    with pytest.raises(ManifestInvalid, match="there is no document in the text"):
        parse(text)


def test_a_change_of_the_result_does_not_reach_what_was_given():
    given = only(WEB).written
    kept = meaning.to_yaml(given)

    found = from_object(given)
    container(found.written)["image"] = container(found.full)["image"] = "other"

    assert meaning.to_yaml(given) == kept
