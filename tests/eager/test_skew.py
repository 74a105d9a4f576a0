"""One release of skew: what the release before wrote, and what the next may write, is acted on.

Messages of before are the golden files. The next release's have fields that nobody here knows, and
lack whatever has a default. Both go all the way: into rows, and into a container.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.models import Node, Replica
from orchestrator.operations import mail, transport
from tests.cluster import Cluster, manifest
from worker import envelope, protocol
from worker.envelope import CONTROL

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "protocol"


def of_before(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def of_the_next(name: str) -> Any:
    return with_unknown_fields(of_before(name))


def with_unknown_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: with_unknown_fields(v) for k, v in value.items()} | {"unheard_of": [{"of": 1}]}
    return [with_unknown_fields(item) for item in value] if isinstance(value, list) else value


RELEASES = pytest.mark.parametrize("message", [of_before, of_the_next])


@RELEASES
def test_a_node_of_this_release_does_what_another_release_asks(cluster: Cluster, message):
    start = message("start-job")
    start["replica"]["runtime_class"] = ""
    start["replica"]["containers"][0].pop("readiness_probe")

    transport.publish_to_nodes(protocol.START_TASK, {"n1": {"jobs": [start]}})
    assert cluster.containers() == ["kijabi-a1b2c3d4e5f6-2"]
    stop = message("stop-job") | {"replica": "a1b2c3d4e5f6", "epoch": 2}
    transport.publish_to_nodes(protocol.STOP_TASK, {"n1": {"jobs": [stop]}})

    assert cluster.containers() == []


@RELEASES
def test_this_control_plane_believes_the_report_of_another_release(cluster: Cluster, message):
    cluster.apply(manifest(replicas=1))
    (replica,) = Replica.objects.all()
    report = message("report")
    report |= {"boot": Node.objects.get().boot + 1, "sequence": 1}
    report["replicas"][0] |= {"uid": replica.uid, "epoch": replica.epoch, "restarts": 7}

    letter = envelope.write(
        sender="n1",
        audience=CONTROL,
        task=protocol.REPORT_TASK,
        arguments={"report": report},
        now=time.time(),
    )
    wire = envelope.sign(letter, cluster.identity.keys.signing_key)
    transport.publish(protocol.REPORT_TASK, "control", {"envelope": wire})

    replica.refresh_from_db()
    assert (replica.restarts, replica.ready) == (7, True)
    assert Node.objects.get().cpu_millis == 2000


def test_a_report_of_a_newer_protocol_is_refused_whole(cluster: Cluster):
    report = of_before("report") | {"version": protocol.VERSION + 1, "sequence": 10**6}
    before = Node.objects.get().sequence, mail.refusals.counts["newer"]

    wire = cluster.node.mailbox.sign_report(report)
    transport.publish(protocol.REPORT_TASK, "control", {"envelope": wire})

    assert (Node.objects.get().sequence, mail.refusals.counts["newer"] - 1) == before
