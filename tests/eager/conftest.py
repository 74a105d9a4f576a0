from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.operations import nodes
from tests import cluster as clusters
from tests.gateways import Post, PretendedGateway


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path) -> Iterator[clusters.Cluster]:
    with clusters.running(tmp_path) as running:
        yield running


@pytest.fixture
def gateway(cluster: clusters.Cluster) -> PretendedGateway:
    """A node that routes and runs nothing, of which nobody knows yet."""
    return PretendedGateway("g1")


@pytest.fixture
def post(gateway: PretendedGateway, monkeypatch: pytest.MonkeyPatch) -> Post:
    """The way tables take to the gateway, which has reported once."""
    made = Post(gateway)
    monkeypatch.setattr("orchestrator.operations.route_tables.publish_to_nodes", made.publish)
    gateway.report(address="10.0.0.9")
    nodes.set_cordoned(gateway.name, clusters.change(), cordoned=True)
    return made
