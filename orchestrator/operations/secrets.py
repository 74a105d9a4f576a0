"""Certificates with their keys: a key comes in, goes to the nodes sealed, and is never shown."""

from __future__ import annotations

from typing import Any

from orchestrator.core.wording import join
from orchestrator.manifests import certificates
from orchestrator.manifests.manifest import Manifest
from orchestrator.models import Ingress, Secret
from orchestrator.operations import sealed_keys
from orchestrator.operations.stored import ObjectConflict, Store

Json = dict[str, Any]


class Secrets(Store[Secret]):
    """What follows from a Secret's manifest: a chain, and a key that is kept sealed."""

    kind = "Secret"
    model = Secret

    def stored(self, manifest: Manifest) -> Json:
        """Return the manifest with digests instead of what is secret, so that changes are seen."""
        kept = {
            key: value
            for key, value in manifest.written.items()
            if key not in {"data", "stringData"}
        }
        pair = manifest.full["stringData"]
        kept["data"] = {
            name: f"(hidden, {sealed_keys.digest(text)[:16]})" for name, text in pair.items()
        }
        return kept

    def adopt(self, row: Secret, manifest: Manifest) -> None:
        """Keep the chain, and the key sealed; ingresses that use it must still be served."""
        pair = manifest.full["stringData"]
        certificate = certificates.read(pair["tls.crt"], pair["tls.key"])
        for ingress, hosts in _users(row):
            for host in hosts:
                if not certificate.fits(host):
                    raise ObjectConflict(
                        f"the new certificate of secret {row} is not for {host}, which ingress "
                        f"{ingress} serves with it"
                    )
        row.chain, row.sealed_key = pair["tls.crt"], sealed_keys.seal(pair["tls.key"])
        row.digest = sealed_keys.digest(pair["tls.key"])
        row.hosts, row.expires_at = list(certificate.hosts), certificate.expires_at

    def check_free(self, row: Secret) -> None:
        """Make sure that no ingress is served with it."""
        if names := [ingress.name for ingress, _ in _users(row)]:
            raise ObjectConflict(
                f"secret {row} holds the certificate of ingress {join(names[:5])}; delete or "
                "change that first"
            )


def _users(row: Secret) -> list[tuple[Ingress, list[str]]]:
    found = []
    for ingress in Ingress.objects.filter(namespace=row.namespace):
        for entry in ingress.manifest["spec"].get("tls") or ():
            if entry.get("secretName") == row.name:
                found.append((ingress, list(entry.get("hosts") or ())))
    return found


STORE = Secrets()
