"""The fields of Services, Ingresses and Secrets, and the rules that concern several of them."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.manifests import certificates
from orchestrator.manifests.fields import (
    Anything,
    Choice,
    Field,
    Many,
    Number,
    PortReference,
    Struct,
    Text,
    optional,
    required,
    silent,
)
from orchestrator.manifests.labels import LABELS
from orchestrator.manifests.problems import Findings, Path, quoted
from orchestrator.manifests.rules import check_seconds
from orchestrator.manifests.schema import LABEL_RULE, NAME, metadata

Json = dict[str, Any]

HEADLESS = "None"
NODE_PORT = "NodePort"
TLS_SECRET = "kubernetes.io/tls"  # noqa: S105, a type
PREFIX = "kijabi.dev/"
STICKY, TIMEOUT = "kijabi.dev/sticky", "kijabi.dev/timeout-seconds"
HOLD, HOLD_SECONDS = "kijabi.dev/hold", "kijabi.dev/hold-seconds"
LONGEST_HOLD = 3600
LONGEST_TIMEOUT = 86400

_IGNORED = Field(kind=Anything(), ignored=True)
_FALSE = (False,)
_PORT = Number(1, 65535)
_PORT_NAME = Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", LABEL_RULE, 63)
_HOST = Text(
    r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "a host is lower-case letters, digits, '-' and '.', and may begin with '*.'",
    253,
)

SERVICE = Struct(
    {
        "apiVersion": required(Choice(("v1",)), "version of the API"),
        "kind": required(Choice(("Service",)), "kind of object"),
        "metadata": required(metadata("notes"), "who it is"),
        "spec": required(
            Struct(
                {
                    "type": optional(
                        Choice(("ClusterIP", NODE_PORT)),
                        "`NodePort` opens a port on every node as well",
                        "ClusterIP",
                    ),
                    "selector": required(LABELS, "labels of the replicas that serve it"),
                    "ports": required(
                        Many(
                            Struct(
                                {
                                    "name": optional(_PORT_NAME, "its name"),
                                    "protocol": optional(Choice(("TCP", "UDP")), "protocol", "TCP"),
                                    "port": required(_PORT, "port of the service"),
                                    "targetPort": optional(
                                        PortReference(), "port of the replica; the same by default"
                                    ),
                                    "nodePort": optional(
                                        Number(30000, 32767), "on every node; a free one by default"
                                    ),
                                }
                            ),
                            least=1,
                            most=64,
                        ),
                        "ports",
                    ),
                    "clusterIP": optional(
                        Text(longest=45), "`None` for no address of its own, or the one to have"
                    ),
                    "sessionAffinity": optional(
                        Choice(("None", "ClientIP")), "one client, one replica", "None"
                    ),
                    "sessionAffinityConfig": optional(
                        Struct(
                            {
                                "clientIP": optional(
                                    Struct(
                                        {
                                            "timeoutSeconds": optional(
                                                Number(1, 86400), "remembered for so long", 10800
                                            )
                                        }
                                    ),
                                    "how long a client is remembered",
                                )
                            }
                        ),
                        "how it is kept",
                    ),
                    "internalTrafficPolicy": silent("Cluster"),
                    "externalTrafficPolicy": silent("Cluster"),
                    "publishNotReadyAddresses": silent(*_FALSE),
                    "clusterIPs": _IGNORED,
                    "ipFamilies": _IGNORED,
                    "ipFamilyPolicy": _IGNORED,
                }
            ),
            "what is wanted",
        ),
        "status": _IGNORED,
    }
)

_BACKEND = Struct(
    {
        "service": required(
            Struct(
                {
                    "name": required(NAME, "a service of the same namespace"),
                    "port": required(
                        Struct(
                            {
                                "number": optional(_PORT, "its port, by number"),
                                "name": optional(_PORT_NAME, "its port, by name"),
                            }
                        ),
                        "one of its ports, by number or by name",
                    ),
                }
            ),
            "where requests go",
        )
    }
)

INGRESS = Struct(
    {
        "apiVersion": required(Choice(("networking.k8s.io/v1",)), "version of the API"),
        "kind": required(Choice(("Ingress",)), "kind of object"),
        "metadata": required(
            metadata(
                f'notes; `{STICKY}: "true"`: a cookie keeps a client with one replica; '
                f"`{TIMEOUT}`: longest wait for an answer; "
                f'`{HOLD}: "true"`: requests wait, for at most `{HOLD_SECONDS}` (60)'
            ),
            "who it is",
        ),
        "spec": required(
            Struct(
                {
                    "ingressClassName": silent("kijabi", "caddy"),
                    "defaultBackend": optional(_BACKEND, "where everything else goes"),
                    "rules": optional(
                        Many(
                            Struct(
                                {
                                    "host": optional(_HOST, "any host by default"),
                                    "http": required(
                                        Struct(
                                            {
                                                "paths": required(
                                                    Many(
                                                        Struct(
                                                            {
                                                                "path": optional(
                                                                    Text(
                                                                        r"/[^\s?#]*",
                                                                        "a path begins with '/'",
                                                                        1024,
                                                                    ),
                                                                    "path",
                                                                    "/",
                                                                ),
                                                                "pathType": required(
                                                                    Choice(("Exact", "Prefix")),
                                                                    "how it is compared",
                                                                ),
                                                                "backend": required(
                                                                    _BACKEND, "where it leads"
                                                                ),
                                                            }
                                                        ),
                                                        least=1,
                                                    ),
                                                    "paths",
                                                )
                                            }
                                        ),
                                        "what is asked for",
                                    ),
                                }
                            )
                        ),
                        "hosts and their paths",
                    ),
                    "tls": optional(
                        Many(
                            Struct(
                                {
                                    "hosts": optional(
                                        Many(_HOST), "hosts; those of the rules by default"
                                    ),
                                    "secretName": optional(
                                        NAME, "its certificate; made automatically by default"
                                    ),
                                }
                            )
                        ),
                        "hosts that are served with TLS",
                    ),
                }
            ),
            "what is wanted",
        ),
        "status": _IGNORED,
    }
)

_KEY_PAIR = Struct(
    {
        "tls.crt": optional(Text(), "certificate chain (PEM)"),
        "tls.key": optional(Text(), "its key (PEM)"),
    }
)

SECRET = Struct(
    {
        "apiVersion": required(Choice(("v1",)), "version of the API"),
        "kind": required(Choice(("Secret",)), "kind of object"),
        "metadata": required(metadata("notes"), "who it is"),
        "type": required(Choice((TLS_SECRET,)), "a certificate and its key"),
        "data": optional(_KEY_PAIR, "both in base64"),
        "stringData": optional(_KEY_PAIR, "both as they are"),
        "immutable": silent(*_FALSE),
    }
)


def complete_service(full: Json, path: Path, findings: Findings) -> None:
    """Check a completed Service as a whole and fill in what depends on other fields."""
    spec, place = full["spec"], (*path, "spec")
    _annotations(full, (), path, findings)
    if not spec["selector"]:
        findings.add((*place, "selector"), "must have at least one label")
    _cluster_address(spec, place, findings)
    _service_ports(spec, place, findings)
    if spec["sessionAffinity"] == "None":
        if "sessionAffinityConfig" in spec:
            told = "makes no sense with sessionAffinity None; remove it"
            findings.add((*place, "sessionAffinityConfig"), told)
        return
    config = spec.setdefault("sessionAffinityConfig", {})
    config.setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)


def _cluster_address(spec: Json, place: Path, findings: Findings) -> None:
    stated = spec.get("clusterIP", "")
    if stated == HEADLESS:
        if spec["type"] == NODE_PORT:
            findings.add((*place, "clusterIP"), f'must not be "{HEADLESS}" with type {NODE_PORT}')
        return
    try:
        if stated:
            ipaddress.ip_address(stated)
    except ValueError:
        told = f'{quoted(stated)} is no IP address; give one, "{HEADLESS}" or nothing'
        findings.add((*place, "clusterIP"), told)


def _service_ports(spec: Json, place: Path, findings: Findings) -> None:
    seen: set[object] = set()
    for index, port in enumerate(spec["ports"]):
        here = (*place, "ports", index)
        port.setdefault("targetPort", port["port"])
        if len(spec["ports"]) > 1 and "name" not in port:
            findings.add((*here, "name"), "is required when there are several ports")
        if "nodePort" in port and spec["type"] != NODE_PORT:
            findings.add((*here, "nodePort"), f"makes no sense without type {NODE_PORT}")
        for key in ((port["protocol"], port["port"]), port.get("name")):
            if key is not None and key in seen:
                findings.add(here, "repeats a port or a port's name; remove it")
            seen.add(key)


def complete_ingress(full: Json, path: Path, findings: Findings) -> None:
    """Check a completed Ingress as a whole and fill in what depends on other fields."""
    spec, place = full["spec"], (*path, "spec")
    _annotations(full, (STICKY, TIMEOUT, HOLD, HOLD_SECONDS), path, findings)
    if not spec.get("rules") and "defaultBackend" not in spec:
        findings.add(place, "must have rules, a defaultBackend, or both")
    for backend, here in _backends(spec, place):
        if len(backend["service"]["port"]) != 1:
            told = "must have exactly one of number, name"
            findings.add((*here, "service", "port"), told)
    seen: set[object] = set()
    for claim, here in claims(spec, place):
        if claim in seen:
            findings.add(here, "repeats a host and path of this ingress; remove it")
        seen.add(claim)
    hosts = sorted({rule["host"] for rule in spec.get("rules") or () if "host" in rule})
    for index, entry in enumerate(spec.get("tls") or ()):
        if not entry.setdefault("hosts", hosts):
            findings.add((*place, "tls", index, "hosts"), "is required: no rule names a host")


def claims(spec: Mapping[str, Any], place: Path) -> Iterator[tuple[tuple[str, str, str], Path]]:
    """Yield every host, path and way to compare of an Ingress, as they are claimed, and where."""
    if "defaultBackend" in spec:
        yield ("", "/", "Prefix"), (*place, "defaultBackend")
    for number, rule in enumerate(spec.get("rules") or ()):
        for index, path in enumerate(rule["http"]["paths"]):
            claimed = path["path"]
            if path["pathType"] == "Prefix":
                # Kubernetes compares element by element: /a and /a/ take the same requests.
                claimed = claimed.rstrip("/") or "/"
            here = (*place, "rules", number, "http", "paths", index)
            yield (rule.get("host", ""), claimed, path["pathType"]), here


def backends_of(spec: Mapping[str, Any]) -> list[Json]:
    """Return the services that an Ingress leads to, in the order of its claims."""
    return [backend["service"] for backend, _ in _backends(spec, ())]


def _backends(spec: Mapping[str, Any], place: Path) -> Iterator[tuple[Json, Path]]:
    if "defaultBackend" in spec:
        yield spec["defaultBackend"], (*place, "defaultBackend")
    for number, rule in enumerate(spec.get("rules") or ()):
        for index, path in enumerate(rule["http"]["paths"]):
            here = (*place, "rules", number, "http", "paths", index, "backend")
            yield path["backend"], here


def port_of(service: Mapping[str, Any], reference: Mapping[str, Any]) -> int | None:
    """Return the number of the TCP port of a completed Service that a backend names, if any."""
    for port in service["spec"]["ports"]:
        named = reference.get("name") and port.get("name") == reference["name"]
        if port["protocol"] == "TCP" and (named or port["port"] == reference.get("number")):
            return int(port["port"])
    return None


def complete_secret(full: Json, path: Path, findings: Findings) -> None:
    """Check that a Secret holds a certificate and its key; both stand in `stringData` afterwards.

    No fault quotes any of it.
    """
    _annotations(full, (), path, findings)
    pair = {}
    for name in ("tls.crt", "tls.key"):
        where, text = certificates.text_of(full, name)
        if text is None:
            findings.add((*path, where, name), "is required, in base64 under data or as it is")
        else:
            pair[name] = text
    full.pop("data", None)
    full["stringData"] = pair
    if len(pair) == 2:
        try:
            certificates.read(pair["tls.crt"], pair["tls.key"])
        except certificates.CertificateInvalid as error:
            findings.add((*path, error.place), str(error))


def _annotations(full: Json, known: tuple[str, ...], path: Path, findings: Findings) -> None:
    place = (*path, "metadata", "annotations")
    for key, value in (full["metadata"].get("annotations") or {}).items():
        if not key.startswith(PREFIX):
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else "remove it"
            findings.add((*place, key), f"is no annotation of a {full['kind']}; {hint}")
        elif key in {STICKY, HOLD} and value not in {"true", "false"}:
            findings.add((*place, key), f'{quoted(value)} is unknown; use "true" or "false"')
        elif key in {TIMEOUT, HOLD_SECONDS}:
            most = LONGEST_TIMEOUT if key == TIMEOUT else LONGEST_HOLD
            check_seconds(value, (*place, key), findings, most=most)
