"""The node's own address on the engine's network, named by the engine or known to the kernel."""

from __future__ import annotations

import pytest

from worker.runtimes.docker_network import address_of, gateway_of


def network(pool: dict[str, str], interface: str = "") -> dict[str, object]:
    return {"IPAM": {"Config": [pool]}, "Options": {"com.docker.network.bridge.name": interface}}


@pytest.mark.parametrize(
    ("found", "address"),
    [
        pytest.param(network({"Gateway": "172.17.0.1"}, "lo"), "172.17.0.1", id="named"),
        pytest.param(network({"Subnet": "172.17.0.0/16"}, "lo"), "127.0.0.1", id="by-interface"),
        pytest.param(network({"Gateway": "fd00::1"}), "", id="only-the-other-family"),
        pytest.param(network({}, "no-such-one"), "", id="an-interface-of-nobody"),
        pytest.param({"IPAM": None, "Options": None}, "", id="nothing"),
    ],
)
def test_the_address_on_a_network(found: dict, address: str):
    assert gateway_of(found) == address


def test_a_name_no_interface_can_have_is_nobodys():
    assert address_of("x" * 40) == ""
