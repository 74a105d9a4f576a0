"""The kernel's list of connections, as its program prints it."""

from __future__ import annotations

import pytest

from worker.gateway import conntrack
from worker.gateway.rules import Flow

BACK = "src=10.5.0.2 dst=10.5.0.4 sport=8080 dport=40000 mark=0 use=1"
UDP = f"udp      17 29 src=10.5.0.4 dst=10.97.0.1 sport=40000 dport=80 {BACK}"
TCP = (
    f"tcp      6 117 SYN_SENT src=10.5.0.4 dst=10.6.0.1 sport=40000 dport=30001 [UNREPLIED] {BACK}"
)
SIX = (
    "udp      17 29 src=fd05::4 dst=fd97::1 sport=40000 dport=80 [UNREPLIED] "
    "src=fd05::2 dst=fd05::4 sport=8080 dport=40000 mark=0 use=1"
)


@pytest.mark.parametrize(
    ("line", "flow"),
    [
        pytest.param(UDP, Flow("udp", "10.97.0.1", 80, "10.5.0.2", 8080), id="answered-datagrams"),
        pytest.param(TCP, Flow("tcp", "", 30001, "10.5.0.2", 8080), id="a-node-port-unanswered"),
        pytest.param(SIX, Flow("udp", "fd97::1", 80, "fd05::2", 8080), id="version-6"),
    ],
)
def test_a_line_is_the_flow_it_belongs_to(line: str, flow: Flow):
    assert flow in conntrack._flows(f"{line}\n")


def test_a_line_is_no_other_flow():
    found = conntrack._flows(UDP)

    assert {(one.port, one.target, one.target_port) for one in found} == {(80, "10.5.0.2", 8080)}


def test_what_is_no_connection_is_left_out():
    assert conntrack._flows("conntrack v1.4.7: 0 flow entries have been shown.\n") == set()
