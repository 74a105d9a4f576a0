"""Many services in one text: as many queries as for few, and each still minds the others."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from orchestrator.models import Event, Service, ServicePort
from tests.integration.api.requests import apply
from tests.traffic import service


def names(count: int, letter: str = "s") -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def text(*services: str) -> str:
    return "---".join(services)


def queries_of(api: APIClient, manifests: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert apply(api, manifests).status_code == 200
    return len(captured)


def test_many_services_take_no_more_queries_than_few(api: APIClient):
    apply(api, service())

    few = queries_of(api, text(*(service(name=name) for name in names(5, "few"))))
    many = queries_of(api, text(*(service(name=name) for name in names(50, "many"))))

    assert many == few


def test_many_changes_take_no_more_queries_than_few(api: APIClient):
    apply(api, text(*(service(name=name) for name in names(50))))
    other = "[{port: 80, targetPort: 9090}]"

    none = queries_of(api, text(*(service(name=name) for name in names(50))))
    all_of_them = queries_of(api, text(*(service(name=n, selector="{a: b}") for n in names(50))))

    assert none < all_of_them < 30 + 2 * 50
    assert apply(api, service(name="s1", ports=other)).json()["results"][0]["generation"] == 3


def test_all_that_changed_is_saved_and_told_once_each(api: APIClient):
    apply(api, text(*(service(name=name) for name in names(6))))
    addresses = dict(Service.objects.values_list("name", "address"))

    done = apply(api, text(*(service(name=name, selector="{tier: b}") for name in names(6))))

    assert {one["action"] for one in done.json()["results"]} == {"configured"}
    rows = Service.objects.all()
    assert {(row.anchor, row.generation) for row in rows} == {("tier=b", 2)}
    assert {row.name: row.address for row in rows} == addresses
    changed = Event.objects.filter(reason="Changed", kind="service")
    assert sorted(changed.values_list("name", flat=True)) == names(6)


def test_new_and_known_ones_come_in_the_order_of_the_text(api: APIClient):
    apply(api, service(name="b"))

    done = apply(api, text(service(name="c"), service(name="b"), service(name="a")))

    told = [(one["name"], one["action"]) for one in done.json()["results"]]
    assert told == [("c", "created"), ("b", "unchanged"), ("a", "created")]


def test_one_node_port_goes_from_one_to_the_next_in_one_text(api: APIClient):
    ports = "[{port: 80, nodePort: 30001}]"
    apply(api, text(service(name="a", type="NodePort", ports=ports), service(name="b")))

    done = apply(api, text(service(name="a"), service(name="b", type="NodePort", ports=ports)))

    assert done.status_code == 200
    assert dict(ServicePort.objects.values_list("service__name", "node_port")) == {
        "a": None,
        "b": 30001,
    }


def test_two_of_one_text_cannot_have_the_same_node_port(api: APIClient):
    ports = "[{port: 80, nodePort: 30001}]"
    both = [service(name=name, type="NodePort", ports=ports) for name in ("a", "b")]

    refused = apply(api, text(*both))

    assert refused.status_code == 409
    assert (
        "30001/TCP of service default/b is taken by service default/a" in refused.content.decode()
    )
    assert not Service.objects.exists()


def test_two_of_one_text_cannot_have_the_same_address(api: APIClient):
    one = service(name="a")
    apply(api, one)
    address = Service.objects.get().address
    more = [service(name=name).rstrip() + f"\n  clusterIP: {address}\n" for name in ("b", "c")]
    api.delete("/api/v1/apply/", data=one, content_type="application/yaml")

    refused = apply(api, text(*more))

    assert refused.status_code == 409
    assert f"{address} of service default/c is taken by service default/b" in (
        refused.content.decode()
    )


def test_free_node_ports_differ_within_one_text(api: APIClient, monkeypatch):
    monkeypatch.setattr(
        "orchestrator.operations.addresses._candidates", lambda _key, size: range(size)
    )

    apply(api, text(*(service(name=name, type="NodePort") for name in names(3))))

    numbers = ServicePort.objects.order_by("node_port").values_list("node_port", flat=True)
    assert list(numbers) == [30000, 30001, 30002]
