"""The text of the rules, compared with files that are read as part of a change.

`KIJABI_REWRITE_GOLDEN=1` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.gateway import rules, ruleset
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.rules import Fragment

FOLDER = Path(__file__).resolve().parents[3] / "golden" / "routes"


def a_service(count: int = 2, **fields) -> LiveService:
    ends = tuple(
        Target(replica=f"r{n}", address=f"10.5.0.{n}", port=8080) for n in range(2, 2 + count)
    )
    port = {"port": 80, "node_port": 30080, "targets": ends, "relays": ((20001, ends[0]),)}
    values = {"namespace": "default", "name": "web", "addresses": ("10.97.0.1", "fd97::1")}
    ports = (LivePort(**port | fields.pop("port", {})),)
    return LiveService(**values | {"ports": ports} | fields)


def mixed() -> LiveService:
    far = Target(replica="far", address="10.6.0.2", port=20007, is_remote=True)
    six = Target(replica="six", address="fd05::2", port=8080)
    return a_service(port={"targets": (far, six), "relays": ()})


def others() -> list[Fragment]:
    homes = {"10.5.0.2": "default", "10.5.0.9": "shop"}
    return [
        rules.for_peers(("10.6.0.2", "fd06::2")),
        rules.for_replicas(homes, open_namespaces=frozenset({"shop"})),
    ]


TABLES = {
    "one-service": [rules.for_service(a_service())],
    "one-client-one-endpoint": [rules.for_service(a_service(affinity_seconds=10800))],
    "from-elsewhere": [rules.for_service(mixed())],
    "datagrams": [rules.for_service(a_service(port={"protocol": "udp"}))],
    "peers-and-namespaces": others(),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_whole_table_is_as_it_was(name: str):
    check(
        f"{name}.nft",
        ruleset.whole("kijabi_n1", TABLES[name], links=("br0",) if name == "datagrams" else ()),
    )


def test_a_change_of_endpoints_is_elements_alone():
    parts = ruleset.Parts()
    before, after = rules.for_service(a_service(3)), rules.for_service(a_service(2))
    parts.exchange((), [before, rules.for_service(a_service(2, name="b", addresses=()))])

    check("change.nft", ruleset.change("kijabi_n1", parts.exchange([before], [after])))


def test_what_another_service_needs_too_stays():
    parts = ruleset.Parts()
    web, api = (rules.for_service(a_service(name=name)) for name in ("web", "api"))
    parts.exchange((), [web, api])

    assert ruleset.change("t", parts.exchange([api], [])) == ""


def test_the_latest_to_need_something_takes_it_along():
    parts = ruleset.Parts()
    web = rules.for_service(a_service(affinity_seconds=60))
    parts.exchange((), [web])

    text = ruleset.change("t", parts.exchange([web], []))

    assert text.count("delete set") == 2
    assert text.count("delete chain") == 3
    assert "add " not in text


def check(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("KIJABI_REWRITE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
