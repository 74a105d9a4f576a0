"""Services, ingresses and certificates over the API: written, read back, refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from rest_framework.test import APIClient

from orchestrator.models import Event, Secret, Service
from tests.integration.api.requests import apply, post, send
from tests.traffic import certificate, ingress, secret, service

SERVICES = "/api/v1/namespaces/default/services/"
WEB = f"{SERVICES}web/"
INGRESSES = "/api/v1/namespaces/default/ingresses/"
SECRETS = "/api/v1/namespaces/default/secrets/"


def actions(answer) -> list[str]:
    """Return what was done to each object."""
    assert answer.status_code == 200, answer.content
    return [item["action"] for item in answer.json()["results"]]


def refusal(answer) -> str:
    """Return the one sentence that says why not."""
    assert answer.status_code == 409, answer.content
    return answer.json()["detail"]


def test_everything_is_applied_in_one_text_in_any_order(api: APIClient, tmp_path: Path):
    pair = certificate(tmp_path, "web.example.com")
    tls = "[{secretName: cert}]"

    answer = apply(api, "\n---\n".join([ingress(tls=tls), service(), secret(*pair)]))

    assert actions(answer) == ["created", "created", "created"]
    shown = api.get(f"{INGRESSES}site/").json()
    assert shown["status"]["tls_hosts"] == ["web.example.com"]


def test_applying_twice_changes_nothing(api: APIClient, tmp_path: Path):
    pair = certificate(tmp_path, "web.example.com")
    text = "\n---\n".join([service(type="NodePort"), ingress(), secret(*pair)])
    apply(api, text)
    before = api.get(WEB).json()

    answer = apply(api, text)

    assert actions(answer) == ["unchanged"] * 3
    assert api.get(WEB).json() == before


def test_a_service_keeps_its_address_and_node_port_for_life(api: APIClient):
    apply(api, service(type="NodePort"))
    before = api.get(WEB).json()["status"]

    changed = service(type="NodePort", ports="[{port: 80, targetPort: 9090}]")
    assert actions(apply(api, changed)) == ["configured"]

    after = api.get(WEB).json()["status"]
    assert after["addresses"] == before["addresses"]
    assert after["ports"][0]["node_port"] == before["ports"][0]["node_port"] in range(30000, 32768)
    assert after["ports"][0]["target"] == "9090"


def test_a_service_made_again_finds_its_address(api: APIClient):
    apply(api, service())
    before = api.get(WEB).json()["status"]["addresses"]

    assert api.delete(WEB).status_code == 204
    apply(api, service())

    assert api.get(WEB).json()["status"]["addresses"] == before


def test_every_service_has_an_address_of_its_own(api: APIClient, settings):
    settings.SERVICE_RANGE = "10.97.0.0/27"
    texts = [service(name=f"s{number}") for number in range(15)]

    apply(api, "\n---\n".join(texts))
    refused = apply(api, service(name="late"))

    found = set(Service.objects.values_list("address", flat=True))
    assert found == {f"10.97.0.{number}" for number in range(16, 31)}
    assert "no address of 10.97.0.0/27 is left for service default/late" in refusal(refused)


def test_a_headless_service_has_no_address(api: APIClient):
    text = service().replace("spec:", "spec:\n  clusterIP: None")

    apply(api, text)

    assert api.get(WEB).json()["status"]["addresses"] == []
    assert actions(apply(api, text)) == ["unchanged"]


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        pytest.param(
            service(type="NodePort", ports="[{port: 80, nodePort: 30080}]"),
            service(name="b", type="NodePort", ports="[{port: 80, nodePort: 30080}]"),
            "node port 30080/TCP of service default/b is taken by service default/web; "
            "ask for another, or leave nodePort out to get a free one",
            id="node-port-taken",
        ),
        pytest.param(
            service(),
            ingress(service="missing"),
            'ingress default/site leads to service "missing", which does not exist in its '
            "namespace; create it first, or in the same file",
            id="unknown-service",
        ),
        pytest.param(
            service(),
            ingress(port="{number: 81}"),
            "ingress default/site leads to port 81 of service default/web, which has no such TCP "
            "port (there are: 80)",
            id="unknown-port",
        ),
        pytest.param(
            service() + "---" + ingress(),
            ingress(name="other"),
            "ingress default/site has web.example.com with prefix path / already, so ingress "
            "default/other cannot have it; change one of the two",
            id="overlap",
        ),
        pytest.param(
            service(),
            ingress(tls="[{secretName: cert}]"),
            'ingress default/site names secret "cert", which does not exist in its namespace; '
            "create it first, or leave secretName out for an automatic certificate",
            id="unknown-secret",
        ),
        pytest.param(
            service() + "---" + ingress(),
            service(ports="[{port: 8080}]"),
            "ingress default/site leads to port 80 of service default/web, which would be gone; "
            "change the ingress first, or both in one file",
            id="port-in-use",
        ),
        pytest.param(
            service(),
            service().replace("spec:", "spec:\n  clusterIP: None"),
            "the address of service default/web is fixed for its life and cannot be without one; "
            "delete the service and create it anew",
            id="address-is-fixed",
        ),
        pytest.param(
            service(name="other"),
            service().replace("spec:", "spec:\n  clusterIP: 10.0.0.1"),
            "clusterIP 10.0.0.1 of service default/web is not one to give; use one from "
            "10.97.0.16 to 10.97.255.254, or leave it out",
            id="address-is-not-ours",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(api: APIClient, first, second, sentence):
    apply(api, first)

    assert refusal(apply(api, second)) == sentence


def test_a_certificate_for_other_hosts_is_refused(api: APIClient, tmp_path: Path):
    apply(api, service() + "---" + secret(*certificate(tmp_path, "a.org", "*.b.org")))

    wrong = apply(api, ingress(tls="[{secretName: cert}]"))
    right = apply(api, ingress(host="x.b.org", tls="[{secretName: cert}]"))

    assert refusal(wrong) == (
        "the certificate in secret default/cert is for a.org, *.b.org and not for "
        "web.example.com, for which ingress default/site wants it"
    )
    assert right.status_code == 200


def test_a_key_is_kept_sealed_and_never_shown(api: APIClient, tmp_path: Path):
    chain, key = certificate(tmp_path, "web.example.com")
    dry = apply(api, secret(chain, key), "?dry_run=true")
    apply(api, secret(chain, key))
    shown = [api.get(SECRETS).content, api.get(f"{SECRETS}cert/").content, dry.content]

    line = key.splitlines()[1]

    assert line not in "".join(str(text) for text in shown)
    assert line not in str([vars(row) for row in (*Secret.objects.all(), *Event.objects.all())])


def test_another_key_is_a_change_that_shows_no_key(api: APIClient, tmp_path: Path):
    apply(api, secret(*certificate(tmp_path, "web.example.com")))

    answer = apply(api, secret(*certificate(tmp_path, "web.example.com")))

    assert actions(answer) == ["configured"]
    assert "tls.key: (hidden" in answer.json()["results"][0]["diff"]


@pytest.mark.parametrize(
    ("kind", "path"), [("service", WEB), ("secret", f"{SECRETS}cert/")], ids=["service", "secret"]
)
def test_what_an_ingress_needs_is_not_deleted(api: APIClient, tmp_path: Path, kind, path):
    pair = certificate(tmp_path, "web.example.com")
    apply(api, "\n---\n".join([service(), secret(*pair), ingress(tls="[{secretName: cert}]")]))

    assert "ingress site" in refusal(api.delete(path))

    assert api.delete(f"{INGRESSES}site/").status_code == 204
    assert api.delete(path).status_code == 204


def test_all_of_it_is_deleted_in_one_text(api: APIClient):
    text = service() + "---" + ingress()
    apply(api, text)

    answer = api.generic("DELETE", "/api/v1/apply/", text, content_type="application/yaml")

    assert actions(answer) == ["deleted", "deleted"]
    assert api.get(SERVICES).json()["results"] == []


def test_a_selector_that_matches_nothing_is_a_warning(api: APIClient):
    apply(api, service(selector="{app: nobody}"))

    status = api.get(WEB).json()["status"]

    told = "no replica has the labels app=nobody, so nothing serves it"
    assert (status["warning"], status["serving"]) == (told, 0)


def test_a_service_can_be_created_patched_and_read_back(api: APIClient):
    body = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": []}}
    assert post(api, SERVICES, body).status_code == 422
    body["spec"]["ports"] = [{"port": 80}]
    made = post(api, SERVICES, {"apiVersion": "v1", "kind": "Service", **body})
    again = post(api, SERVICES, {"apiVersion": "v1", "kind": "Service", **body})

    patched = send(api, "PATCH", WEB, {"spec": {"sessionAffinity": "ClientIP"}})

    assert (made.status_code, again.status_code, patched.status_code) == (201, 409, 200)
    config = patched.json()["spec"]["sessionAffinityConfig"]
    assert config == {"clientIP": {"timeoutSeconds": 10800}}
    assert patched.headers["ETag"] == '"2"'
    assert "sessionAffinityConfig" not in api.get(f"{WEB}manifest/?written=true").json()["spec"]


def test_a_change_that_comes_second_is_refused(api: APIClient):
    apply(api, service())
    send(api, "PATCH", WEB, {"spec": {"sessionAffinity": "ClientIP"}})

    late = api.generic("DELETE", WEB, HTTP_IF_MATCH='"1"')

    assert (late.status_code, api.get(WEB).status_code) == (409, 200)


def test_a_namespace_with_services_is_not_deleted(api: APIClient):
    post(api, "/api/v1/namespaces/", {"name": "shop"})
    apply(api, service(namespace="shop"))

    answer = api.delete("/api/v1/namespaces/shop/")

    assert 'namespace "shop" still has services (web)' in refusal(answer)
