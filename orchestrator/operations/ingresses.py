"""Ingresses: hosts and paths, each claimed by one, and each leading to a service that is there."""

from __future__ import annotations

from orchestrator.manifests import traffic
from orchestrator.manifests.certificates import Certificate
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.models import Ingress, IngressPath, Secret, Service
from orchestrator.operations.stored import ObjectConflict, Store


class Ingresses(Store[Ingress]):
    """What follows from an Ingress's manifest: the paths it claims."""

    kind = "Ingress"
    model = Ingress

    def adopt(self, row: Ingress, manifest: Manifest) -> None:
        """Make sure that everything it names is there."""
        spec = manifest.full["spec"]
        for backend in traffic.backends_of(spec):
            self._check_backend(row, backend)
        for entry in spec.get("tls") or ():
            if "secretName" in entry:
                self._check_certificate(row, entry["secretName"], entry["hosts"])

    def follow(self, row: Ingress, manifest: Manifest) -> None:
        """Claim the paths."""
        row.paths.all().delete()
        spec = manifest.full["spec"]
        services = [backend["name"] for backend in traffic.backends_of(spec)]
        for (claim, _), service in zip(traffic.claims(spec, ()), services, strict=True):
            host, path, match = claim
            taken = IngressPath.objects.filter(host=host, path=path, match=match)
            if (other := taken.select_related("ingress").first()) is not None:
                raise ObjectConflict(
                    f"ingress {other.ingress} has {host or 'any host'} with {match.lower()} path "
                    f"{path} already, so ingress {row} cannot have it; change one of the two"
                )
            IngressPath.objects.create(
                ingress=row, host=host, path=path, match=match, service=service
            )

    def _check_backend(self, row: Ingress, backend: traffic.Json) -> None:
        found = Service.objects.filter(namespace=row.namespace, name=backend["name"]).first()
        if found is None:
            raise ObjectConflict(
                f'ingress {row} leads to service "{backend["name"]}", which does not exist in its '
                "namespace; create it first, or in the same file"
            )
        if traffic.port_of(from_object(found.manifest).full, backend["port"]) is None:
            port = backend["port"].get("name") or backend["port"].get("number")
            known = ", ".join(str(p) for p in found.ports.values_list("number", flat=True))
            raise ObjectConflict(
                f"ingress {row} leads to port {port} of service {found}, which has no such TCP "
                f"port (there are: {known})"
            )

    def _check_certificate(self, row: Ingress, name: str, hosts: list[str]) -> None:
        found = Secret.objects.filter(namespace=row.namespace, name=name).first()
        if found is None:
            raise ObjectConflict(
                f'ingress {row} names secret "{name}", which does not exist in its namespace; '
                "create it first, or leave secretName out for an automatic certificate"
            )
        certificate = Certificate(hosts=tuple(found.hosts), expires_at=found.expires_at)
        for host in hosts:
            if not certificate.fits(host):
                raise ObjectConflict(
                    f"the certificate in secret {found} is for {', '.join(found.hosts)} and not "
                    f"for {host}, for which ingress {row} wants it"
                )


STORE = Ingresses()
