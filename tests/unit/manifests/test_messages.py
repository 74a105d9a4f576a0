"""The exact sentences people get for their mistakes."""

from __future__ import annotations

import pytest

from orchestrator.manifests.problems import MAX_PROBLEMS
from tests.unit.manifests.samples import WEB, faults

POD = "spec.template.spec"
BOX = f"{POD}.containers[0]"
NO_BOUNDS = "{rollingUpdate: {maxSurge: 0%, maxUnavailable: 0}}"
NAME_RULE = "use at most 63 lower-case letters, digits and '-', beginning and ending with one"

# What is replaced in the sample, by what, and the one sentence that tells it.
MISTAKES = {
    "too-few": (
        "replicas: 3", "replicas: -1",
        "line 6: spec.replicas: is -1; it must be between 0 and 5000",
    ),
    "too-many": (
        "replicas: 3", "replicas: 5001",
        "line 6: spec.replicas: is 5001; it must be between 0 and 5000",
    ),
    "number-in-quotes": (
        "replicas: 3", "replicas: '3'",
        "line 6: spec.replicas: must be a whole number, not a string",
    ),
    "number-of-thousands-of-digits": (
        "replicas: 3", f"replicas: 0x{'F' * 5000}",
        "line 6: spec.replicas: a number of 20000 bits is not a number this can hold",
    ),
    "base-sixty": (
        "containerPort: 80", "containerPort: 80:80",
        f"line 12: {BOX}.ports[0].containerPort: must be a whole number, not a string",
    ),
    "boolean-for-a-string": (
        "image: nginx:1.27", "image: yes",
        f"line 11: {BOX}.image: must be a string, not a boolean; put it in quotes",
    ),
    "number-for-a-string": (
        "image: nginx:1.27", "image: 1.27",
        f"line 11: {BOX}.image: must be a string, not a number; put it in quotes",
    ),
    "string-for-a-boolean": (
        "replicas: 3", "paused: 'no'",
        "line 6: spec.paused: must be true or false, not a string",
    ),
    "typing-error": (
        "ports:", "prots:",
        f'line 12: {BOX}.prots: unknown or unsupported field "prots"; did you mean "ports"?',
    ),
    "not-yet": (
        "ports: [{containerPort: 80, name: http}]",
        "ports: [{containerPort: 80, name: http}]\n"
        "        env: [{name: A, valueFrom: {fieldRef: {}}}]",
        f"line 13: {BOX}.env[0].valueFrom: valueFrom is not supported yet; write the value itself",
    ),
    "second-container": (
        "containers:", "containers:\n      - {name: first, image: 'a:1'}",
        f"line 11: {POD}.containers[1]: "
        "a second container is not supported yet; a replica has one",
    ),
    "other-value-of-an-accepted-field": (
        "    spec:\n", "    spec:\n      dnsPolicy: None\n",
        f"line 9: {POD}.dnsPolicy: is not supported yet with this value; "
        'only "ClusterFirst" is accepted',
    ),
    "image-with-a-space": (
        "nginx:1.27", "'a b'",
        f'line 11: {BOX}.image: "a b" is not valid: an image is a name without spaces',
    ),
    "bad-name": (
        "name: web\nspec", "name: Web!\nspec",
        f'line 4: metadata.name: "Web!" is not valid: {NAME_RULE}',
    ),
    "name-with-a-line-break": (
        "name: web\nspec", 'name: "web\\n"\nspec',
        f'line 4: metadata.name: "web\\n" is not valid: {NAME_RULE}',
    ),
    "no-such-port": (
        "port: http}", "port: htp}",
        f"line 13: {BOX}.readinessProbe.httpGet.port: "
        '"htp" is not the name of one of the container\'s ports',
    ),
    "two-checks-in-a-probe": (
        "port: http}}", "port: http}, tcpSocket: {port: 80}}",
        f"line 13: {BOX}.readinessProbe: must have exactly one of httpGet, tcpSocket, exec",
    ),
    "unknown-suffix": (
        "64Mi", "64Mo",
        f"line 14: {BOX}.resources.limits.memory: "
        '"64Mo" has the unknown suffix "Mo"; use m, k, M, G, Ki, Mi, Gi',
    ),
    "no-cpu": (
        "cpu: 500m", "cpu: 0",
        f"line 14: {BOX}.resources.limits.cpu: "
        "0 is out of range; give more than 0, at most 1000 cores",
    ),
    "request-over-limit": (
        "{limits: {cpu: 500m,", "{requests: {cpu: 501m}, limits: {cpu: 500m,",
        f"line 14: {BOX}.resources.requests.cpu: must not be more than the limit",
    ),
    "wrong-kind": (
        "kind: Deployment", "kind: Pod",
        'line 2: kind: kind "Pod" is not supported; supported are Deployment, '
        "HorizontalPodAutoscaler, Namespace",
    ),
    "wrong-version": (
        "apps/v1", "extensions/v1beta1",
        'line 1: apiVersion: "extensions/v1beta1" is not supported here; use apps/v1',
    ),
    "missing-name": (
        "metadata:\n  name: web", "metadata: {}",
        "line 3: metadata.name: is required",
    ),
    "given-twice": (
        "replicas: 3", "replicas: 3\n  replicas: 4",
        'line 7: spec.replicas: the key "replicas" is given twice; remove one',
    ),
    "tag-on-an-object": (
        "metadata:", "metadata: !!python/object:os.system",
        'line 3: metadata: the YAML tag "!!python/object:os.system" is not allowed here; remove it',
    ),
    "deadline-too-short": (
        "replicas: 3", "minReadySeconds: 600",
        "line 5: spec.progressDeadlineSeconds: must be greater than minReadySeconds",
    ),
    "no-step-possible": (
        "replicas: 3", f"strategy: {NO_BOUNDS}",
        "line 6: spec.strategy.rollingUpdate.maxUnavailable: "
        "must not be 0 when maxSurge is 0: no step would be possible",
    ),
    "bounds-for-recreate": (
        "replicas: 3", "strategy: {type: Recreate, rollingUpdate: {}}",
        "line 6: spec.strategy.rollingUpdate: makes no sense with type Recreate; remove it",
    ),
    "selector-of-others": (
        "  template:\n",
        "  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: c}}\n",
        "line 7: spec.selector.matchLabels.a: "
        "a=b does not match the labels of the template; make them equal",
    ),
    "unknown-outcome": (
        "name: web\nspec", "name: web\n  annotations: {kijabi.dev/on-failure: explode}\nspec",
        'line 5: metadata.annotations["kijabi.dev/on-failure"]: '
        '"explode" is unknown; use rollback, pause, none',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_clear_sentence(old: str, new: str, sentence: str):
    told = faults(WEB.replace(old, new, 1))

    assert told == [f"document 1, {sentence}"]


def test_every_mistake_of_every_document_is_told_at_once():
    twice = WEB.replace("replicas: 3", "replicas: 3\n  replicas: 3")
    several = WEB.replace("replicas: 3", "replicas: -1").replace("port: http", "port: htp")

    told = faults(f"{twice}---\n{several}---\nkind: Nonsense\n")

    assert [sentence.split(": ")[:2] for sentence in told] == [
        ["document 1, line 7", "spec.replicas"],
        ["document 2, line 22", "spec.replicas"],
        ["document 2, line 29", f"{BOX}.readinessProbe.httpGet.port"],
        ["document 3, line 32", "kind"],
    ]


def test_one_object_twice_in_a_text_is_told_where_it_stands_again():
    assert faults(f"{WEB}---\n{WEB}") == [
        "document 2, line 19: metadata.name: "
        "Deployment default/web is given twice in this text; keep one"
    ]


def test_items_of_a_list_are_told_by_their_place():
    text = "kind: List\nitems:\n- kind: Namespace\n  apiVersion: v1\n  metadata: {name: A}\n"

    assert faults(text) == [
        f'document 1, line 5: items[0].metadata.name: "A" is not valid: {NAME_RULE}'
    ]


def test_a_list_without_items_says_what_is_missing():
    assert faults("kind: List\n") == [
        "document 1, line 1: items: must be a list of manifests, not null"
    ]


def test_no_more_than_a_hundred_faults_are_told():
    text = WEB + "".join(f"        unknown{number}: 1\n" for number in range(5000))

    told = faults(text)

    assert len(told) == MAX_PROBLEMS + 1
    assert told[-1] == f"there are more faults; these are the first {MAX_PROBLEMS}"


def test_a_strange_key_stays_on_one_line_of_the_message():
    (told,) = faults(WEB + f'        "a\\nb{"x" * 500}": 1\n')

    assert "\n" not in told
    assert len(told) < 500


def test_json_indented_with_tabs_has_lines_too():
    (told,) = faults('{\n\t"kind": "Pod"\n}')

    assert told.startswith('document 1, line 2: kind: kind "Pod" is not supported; supported are ')
