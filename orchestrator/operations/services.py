"""Services: their addresses and node ports, given once and for life."""

from __future__ import annotations

from typing import Any

from orchestrator.core.wording import join
from orchestrator.manifests import traffic
from orchestrator.manifests.manifest import Manifest
from orchestrator.models import IngressPath, Service, ServicePort
from orchestrator.operations import addresses
from orchestrator.operations.stored import ObjectConflict, Store

Json = dict[str, Any]


class Services(Store[Service]):
    """What follows from a Service's manifest: an address, ports, and how replicas are found."""

    kind = "Service"
    model = Service

    def adopt(self, row: Service, manifest: Manifest) -> None:
        """Give the service its address, unless it has one."""
        spec = manifest.full["spec"]
        row.anchor = "=".join(min(spec["selector"].items()))
        addresses.give(row, spec.get("clusterIP", ""))

    def follow(self, row: Service, manifest: Manifest) -> None:
        """Make the ports as written; one that stays keeps its node port."""
        spec = manifest.full["spec"]
        is_new = row.generation == 1
        ports = [] if is_new else row.ports.all()
        known = {(port.protocol, port.number): port for port in ports}
        wanted = {(port["protocol"], port["port"]): port for port in spec["ports"]}
        for key in known.keys() - wanted.keys():
            known[key].delete()
        for key, port in wanted.items():
            found = known.get(key) or ServicePort(service=row, protocol=key[0], number=key[1])
            found.name, found.target = port.get("name", ""), str(port["targetPort"])
            if spec["type"] == traffic.NODE_PORT:
                found.node_port = addresses.node_port(row, found, port.get("nodePort"))
            else:
                found.node_port = None
            found.save()
        if not is_new:
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


STORE = Services()
