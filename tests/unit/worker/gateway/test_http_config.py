"""What Caddy is told, compared with files that are read as part of a change.

`KIJABI_REWRITE_GOLDEN=1` writes them anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from worker.gateway.http_config import Surroundings, path_pattern, render
from worker.routes import Certificate, HttpRoute, IngressRoutes, PathMatch

FOLDER = Path(__file__).resolve().parents[3] / "golden" / "routes"
AROUND = Surroundings(
    admin="unix//run/caddy.sock",
    http_port=80,
    https_port=443,
    routes_at="tcp/127.0.0.1:5300",
    ends_at="udp/127.0.0.1:5300",
    storage="/certificates",
    access_log="/access.log",
)


def a_route(**fields) -> HttpRoute:
    return HttpRoute(**{"host": "a.example", "service": "web", "port": 80} | fields)


def an_ingress(*routes: HttpRoute, **fields) -> IngressRoutes:
    return IngressRoutes(namespace="default", name="edge", routes=routes, **fields)


OWN = Certificate(hosts=("b.example",), chain="chain", key="key")
CONFIGS = {
    "plain": an_ingress(a_route(sticky=True, timeout_seconds=5), a_route(path="/api")),
    "secured": an_ingress(a_route(), certificates=(OWN,), automatic_hosts=("a.example",)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_as_it_was(name: str):
    config = json.dumps(render({"default/edge": CONFIGS[name]}, AROUND), indent=2) + "\n"

    path = FOLDER / f"{name}.json"
    if os.environ.get("KIJABI_REWRITE_GOLDEN") == "1":
        path.write_text(config)
    assert config == path.read_text()


def test_holding_a_route_changes_nothing_that_has_to_be_loaded():
    free, held = (an_ingress(a_route(held=held)) for held in (False, True))

    assert render({"e": free}, AROUND) == render({"e": held}, AROUND)


def test_the_more_a_route_says_the_sooner_it_is_asked():
    routes = [
        a_route(host=""),
        a_route(host="*.example"),
        a_route(path="/"),
        a_route(path="/a/b"),
        a_route(path="/a/b", match=PathMatch.EXACT),
    ]

    config = render({"e": an_ingress(*routes)}, AROUND)

    asked = [route.get("match") for route in config["apps"]["http"]["servers"]["http"]["routes"]]
    assert asked == [
        [{"host": ["a.example"], "path_regexp": {"pattern": "^/a/b$"}}],
        [{"host": ["a.example"], "path_regexp": {"pattern": "^/a/b(?:/|$)"}}],
        [{"host": ["a.example"]}],
        [{"host": ["*.example"]}],
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("path", "match", "yes", "no"),
    [
        ("/", PathMatch.PREFIX, ["/", "/a"], []),
        ("/a", PathMatch.PREFIX, ["/a", "/a/", "/a/b"], ["/ab", "/", "/A"]),
        ("/a/", PathMatch.PREFIX, ["/a", "/a/", "/a/b"], ["/ab"]),
        ("/a.b", PathMatch.PREFIX, ["/a.b/c"], ["/axb"]),
        ("/a", PathMatch.EXACT, ["/a"], ["/a/", "/a/b"]),
    ],
)
def test_paths_are_compared_as_kubernetes_does(
    path: str, match: PathMatch, yes: list[str], no: list[str]
):
    pattern = re.compile(path_pattern(a_route(path=path, match=match)))

    assert [bool(pattern.search(p)) for p in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


def test_acme_is_used_where_a_directory_is_given():
    around = Surroundings(
        **{name: getattr(AROUND, name) for name in AROUND.__slots__}
        | {"acme": "https://acme.example/directory", "acme_email": "a@b.example"}
    )

    tls = render({"e": CONFIGS["secured"]}, around)["apps"]["tls"]

    (policy,) = tls["automation"]["policies"]
    assert policy["subjects"] == ["a.example"]
    assert policy["issuers"][0]["ca"] == "https://acme.example/directory"


@pytest.mark.parametrize(("wakes", "answer", "tried"), [(False, "5s", "5s"), (True, "65s", "60s")])
def test_who_sleeps_is_waited_for(wakes: bool, answer: str, tried: str):
    route = a_route(timeout_seconds=5, wakes=wakes, hold_seconds=60)

    config = render({"default/edge": an_ingress(route)}, AROUND)

    [served, _] = config["apps"]["http"]["servers"]["http"]["routes"]
    proxy = served["handle"][-1]
    assert proxy["transport"]["response_header_timeout"] == answer
    assert proxy["load_balancing"]["try_duration"] == tried
