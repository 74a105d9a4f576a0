"""Services: their addresses and node ports, given once and for life."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.core.wording import join
from orchestrator.manifests import traffic
from orchestrator.manifests.manifest import Manifest
from orchestrator.models import IngressPath, Service, ServicePort
from orchestrator.operations import addresses
from orchestrator.operations.stored import ObjectConflict, Store

Json = dict[str, Any]
Pair = tuple[Service, Manifest]
_Key = tuple[str, int]


class Services(Store[Service]):
    """What follows from a Service's manifest: an address, ports, and how replicas are found."""

    kind = "Service"
    model = Service

    def adopt_all(self, pairs: Sequence[Pair]) -> None:
        """Give services their addresses, unless they have one."""
        given = addresses.Given()
        for row, manifest in pairs:
            spec = manifest.full["spec"]
            row.anchor = "=".join(min(spec["selector"].items()))
            given.give(row, spec.get("clusterIP", ""))

    def follow_all(self, pairs: Sequence[Pair]) -> None:
        """Make the ports as written; one that stays keeps its node port."""
        given = addresses.Given()
        known: dict[int, dict[_Key, ServicePort]] = defaultdict(dict)
        old = [row.pk for row, _ in pairs if row.generation > 1]
        for port in ServicePort.objects.filter(service__in=old) if old else ():
            known[port.service_id][port.protocol, port.number] = port
        new: list[ServicePort] = []
        for row, manifest in pairs:
            new += _changed_ports(row, manifest, known[row.pk], given)
        ServicePort.objects.bulk_create(new)
        for row, manifest in pairs:
            if row.generation > 1:
                self._check_ingresses(row, manifest)

    def check_free(self, row: Service) -> None:
        """Make sure that no ingress leads to the service."""
        users = IngressPath.objects.filter(service=row.name, ingress__namespace=row.namespace)
        if names := sorted(set(users.values_list("ingress__name", flat=True))):
            raise ObjectConflict(
                f"service {row} is where ingress {join(names[:5])} leads; delete or change that "
                "first"
            )

    def _check_ingresses(self, row: Service, manifest: Manifest) -> None:
        """Refuse to take away a port that an ingress leads to."""
        users = IngressPath.objects.filter(service=row.name, ingress__namespace=row.namespace)
        for path in users.select_related("ingress"):
            for backend in traffic.backends_of(path.ingress.manifest["spec"]):
                asked = backend["port"]
                if backend["name"] == row.name and traffic.port_of(manifest.full, asked) is None:
                    port = asked.get("name") or asked.get("number")
                    raise ObjectConflict(
                        f"ingress {path.ingress} leads to port {port} of service {row}, which "
                        "would be gone; change the ingress first, or both in one file"
                    )


def _changed_ports(
    row: Service, manifest: Manifest, known: dict[_Key, ServicePort], given: addresses.Given
) -> Iterator[ServicePort]:
    """Bring the known ports of a service up to date, and yield those that are new."""
    spec = manifest.full["spec"]
    wanted = {(port["protocol"], port["port"]): port for port in spec["ports"]}
    for key in known.keys() - wanted.keys():
        given.take_node_port(known[key])
        known[key].delete()
    for key, port in wanted.items():
        found = known.get(key) or ServicePort(service=row, protocol=key[0], number=key[1])
        before = (found.name, found.target, found.node_port)
        found.name, found.target = port.get("name", ""), str(port["targetPort"])
        if spec["type"] == traffic.NODE_PORT:
            given.give_node_port(row, found, port.get("nodePort"))
        else:
            given.take_node_port(found)
        if found.pk is None:
            yield found
        elif before != (found.name, found.target, found.node_port):
            found.save()


STORE = Services()
