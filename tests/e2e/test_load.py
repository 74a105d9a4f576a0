"""A site on two nodes under load, while what can happen to it happens: what may fail, what not.

`manage.py bench load` is the same with many more requests, and with times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import docker_engine, networks, open_load, site
from tests.conftest import require_or_skip
from tests.open_load import Outcome
from tests.site import LocalNode, Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PER_SECOND, REPLICAS, DRAIN_SECONDS, AWAY_SECONDS = 80, 4, 10, 5


@pytest.fixture(scope="module")
def a_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if why := docker_engine.why_missing():
        require_or_skip("docker", why)
    if why := networks.why_missing():
        require_or_skip("nftables", why)
    folder: Path = tmp_path_factory.mktemp("site")
    with site.running(folder, count=REPLICAS, drain_seconds=DRAIN_SECONDS) as made:
        yield made


def under_load(made: Site, *acts: Callable[[], None]) -> list[Outcome]:
    """Return what became of the requests that came while these were done."""
    with open_load.running(made.ways(life_seconds=2), PER_SECOND) as load:
        load.await_more(PER_SECOND)
        for act in acts:
            act()
        load.await_more(PER_SECOND)
    return load.outcomes


def test_nothing_fails_during_an_update_a_drain_and_a_rollback(a_site: Site):
    outcomes = under_load(
        a_site, a_site.update, lambda: a_site.drain(a_site.nodes[0]), a_site.roll_back
    )

    assert not open_load.faults(outcomes)


def test_nothing_fails_while_an_agent_dies_and_the_control_plane_is_away(a_site: Site):
    outcomes = under_load(
        a_site,
        a_site.nodes[0].kill_agent,
        lambda: a_site.be_away(AWAY_SECONDS),
        lambda: a_site.be_away(AWAY_SECONDS, with_agents=True),
    )

    assert not open_load.faults(outcomes)


def test_a_killed_gateway_takes_only_what_came_by_it(a_site: Site):
    killed: LocalNode = a_site.nodes[1]

    outcomes = under_load(a_site, killed.kill_caddy)

    assert {one.way.partition(",")[0] for one in outcomes if one.fault} <= {"ingress b"}
    assert not open_load.faults(outcomes[-PER_SECOND // 2 :])
