"""Fields of Kubernetes that are known and not supported yet, with what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_ONE_CONTAINER = "a replica has exactly one container"
_NODE_SELECTOR = "use nodeSelector"
_ONE_NAMESPACE = "only replicas of the same namespace are looked at"
_REMOVE = "remove it"

ADVICE: Mapping[str, str] = {
    "activeDeadlineSeconds": _REMOVE,
    "automountServiceAccountToken": _REMOVE,
    "containerResource": "a replica has one container, so use resource",
    "dnsConfig": _REMOVE,
    "envFrom": "list the variables under env",
    "ephemeralContainers": _ONE_CONTAINER,
    "external": "use resource or pods",
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
    "matchFields": "use matchExpressions with the label kubernetes.io/hostname",
    "matchLabelKeys": "write the labels into labelSelector",
    "minDomains": _REMOVE,
    "mismatchLabelKeys": "write the labels into labelSelector",
    "namespaceSelector": _ONE_NAMESPACE,
    "namespaces": _ONE_NAMESPACE,
    "nodeName": _NODE_SELECTOR,
    "object": "use resource or pods",
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
    "targetCPUUtilizationPercentage": "write it under metrics, as in autoscaling/v2",
    "tolerationSeconds": "nothing running is ended for a taint, so remove it",
    "tty": _REMOVE,
    "valueFrom": "write the value itself",
    "volumeDevices": _REMOVE,
}
