"""The page of a drain: what would happen, some deployments at a time."""

from __future__ import annotations

import re

from tests.cluster import Cluster, manifest
from webui.views.things import PLANNED

DRAIN = "/nodes/n1/drain/"


def listed(html: str) -> list[str]:
    return re.findall(r'href="/deployments/default/(web-\d+)/"', html)


def test_a_long_plan_has_pages_and_the_whole_number(cluster: Cluster, browser_of):
    names = [f"web-{n:02}" for n in range(PLANNED + 2)]
    cluster.apply("\n---\n".join(manifest(name=name, replicas=1) for name in names))
    admin = browser_of("admin")

    first = admin.get(DRAIN).content.decode()
    second = admin.get(f"{DRAIN}?page=2").content.decode()

    assert listed(first) + listed(second) == names
    assert f"Each of the {len(names)} replicas here gets a replacement" in first
    assert f"Each of the {len(names)} replicas here gets a replacement" in second
