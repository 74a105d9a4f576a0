"""Fields of Kubernetes that are known and not supported yet, with what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_ONE_CONTAINER = "a replica has exactly one container"
_NODE_SELECTOR = "use nodeSelector"
_REMOVE = "remove it"

ADVICE: Mapping[str, str] = {
    "activeDeadlineSeconds": _REMOVE,
    "affinity": _NODE_SELECTOR,
    "automountServiceAccountToken": _REMOVE,
    "dnsConfig": _REMOVE,
    "envFrom": "list the variables under env",
    "ephemeralContainers": _ONE_CONTAINER,
    "finalizers": _REMOVE,
    "generateName": "give a name",
    "grpc": "use httpGet, tcpSocket or exec",
    "hostAliases": _REMOVE,
    "hostIP": _REMOVE,
    "hostIPC": _REMOVE,
    "hostNetwork": "publish single ports with ports[].hostPort",
    "hostPID": _REMOVE,
    "hostname": _REMOVE,
    "imagePullSecrets": "log in to the registry on the nodes",
    "initContainers": _ONE_CONTAINER,
    "lifecycle": "let the program act on SIGTERM",
    "matchExpressions": "use matchLabels",
    "nodeName": _NODE_SELECTOR,
    "overhead": _REMOVE,
    "ownerReferences": _REMOVE,
    "preemptionPolicy": _REMOVE,
    "priority": _REMOVE,
    "priorityClassName": _REMOVE,
    "resizePolicy": "limits are always changed in place",
    "serviceAccount": _REMOVE,
    "serviceAccountName": _REMOVE,
    "stdin": _REMOVE,
    "subdomain": _REMOVE,
    "tolerations": _REMOVE,
    "topologySpreadConstraints": "replicas are spread over the nodes anyway",
    "tty": _REMOVE,
    "valueFrom": "write the value itself",
    "volumeDevices": _REMOVE,
}
