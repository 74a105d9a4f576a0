"""Every field a user can write, its default and what it means: the one place that says so.

Validation, defaults, messages and the manifest reference in the README all come from this table.
"""

from __future__ import annotations

from orchestrator.core.spec import MAX_REPLICAS
from orchestrator.manifests.fields import (
    Anything,
    Choice,
    Field,
    Flag,
    Many,
    Number,
    PortReference,
    Quantity,
    Share,
    Struct,
    Table,
    Text,
    optional,
    required,
    silent,
)
from orchestrator.manifests.labels import KEY, LABELS
from orchestrator.manifests.placing import AFFINITY, SPREAD, TOLERATION

LABEL_RULE = "use at most 63 lower-case letters, digits and '-', beginning and ending with one"
NAME = Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", LABEL_RULE, 63)
_ANNOTATIONS = Table(KEY, Text(), frozenset({"kubectl.kubernetes.io/last-applied-configuration"}))
_IMAGE = Text(r"[^\s\x00-\x1f]+", "an image is a name without spaces", 1024)
_ENV_NAME = Text(r"[-._a-zA-Z][-._a-zA-Z0-9]*", "use letters, digits, '-', '_' and '.'", 256)
_PORT = Number(1, 65535)
_IGNORED = Field(kind=Anything(), ignored=True)


_PROBE = Struct(
    {
        "httpGet": optional(
            Struct(
                {
                    "path": optional(Text(longest=2048), "path to ask for", "/"),
                    "port": Field(kind=PortReference(), doc="port to ask", required=True),
                    "scheme": optional(Choice(("HTTP", "HTTPS")), "protocol", "HTTP"),
                    "host": optional(Text(longest=253), "host instead of the replica's own"),
                    "httpHeaders": optional(
                        Many(
                            Struct(
                                {
                                    "name": required(Text(longest=256), "header's name"),
                                    "value": required(Text(longest=4096), "header's value"),
                                }
                            ),
                            most=32,
                        ),
                        "headers to send",
                    ),
                }
            ),
            "healthy when the answer is 200–399",
        ),
        "tcpSocket": optional(
            Struct(
                {
                    "port": Field(kind=PortReference(), doc="port to connect to", required=True),
                    "host": optional(Text(longest=253), "host instead of the replica's own"),
                }
            ),
            "healthy when the connection is accepted",
        ),
        "exec": optional(
            Struct(
                {"command": Field(kind=Many(Text(), least=1), doc="command inside", required=True)}
            ),
            "healthy when it exits with 0",
        ),
        "initialDelaySeconds": optional(Number(0, 86400), "wait before the first try", 0),
        "periodSeconds": optional(Number(1, 86400), "time between tries", 10),
        "timeoutSeconds": optional(Number(1, 3600), "longest wait for an answer", 1),
        "successThreshold": optional(Number(1, 1000), "successes in a row to pass", 1),
        "failureThreshold": optional(Number(1, 1000), "failures in a row to fail", 3),
        "terminationGracePeriodSeconds": optional(
            Number(1, 86400), "grace when this probe ends the container"
        ),
    }
)

_AMOUNTS = Struct(
    {
        "cpu": optional(Quantity("cpu"), "cores"),
        "memory": optional(Quantity("memory"), "bytes"),
    }
)

_CONTAINER = Struct(
    {
        "name": Field(kind=NAME, doc="name of the container", required=True),
        "image": Field(kind=_IMAGE, doc="image to run", required=True),
        "command": optional(Many(Text()), "replaces the image's entrypoint"),
        "args": optional(Many(Text()), "replaces the image's command"),
        "workingDir": optional(Text(r"/.*", "it must be an absolute path", 4096), "directory"),
        "env": optional(
            Many(
                Struct(
                    {
                        "name": required(_ENV_NAME, "its name"),
                        "value": optional(Text(), "value", ""),
                    }
                )
            ),
            "environment variables",
        ),
        "ports": optional(
            Many(
                Struct(
                    {
                        "containerPort": Field(kind=_PORT, doc="listens here", required=True),
                        "hostPort": optional(_PORT, "published on the node under this number"),
                        "protocol": optional(Choice(("TCP", "UDP")), "protocol", "TCP"),
                        "name": optional(
                            Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", LABEL_RULE, 15), "its name"
                        ),
                    }
                ),
                most=64,
            ),
            "ports it listens on; `$PORT` is the first",
        ),
        "resources": optional(
            Struct(
                {
                    "limits": optional(_AMOUNTS, "enforced by the runtime"),
                    "requests": optional(_AMOUNTS, "weight and reservation; defaults to limits"),
                }
            ),
            "changed in place, without a restart",
            {},
        ),
        "startupProbe": optional(_PROBE, "holds the other probes back until it passes"),
        "readinessProbe": optional(_PROBE, "ready to serve?"),
        "livenessProbe": optional(_PROBE, "restarted in place when it fails"),
        "imagePullPolicy": optional(
            Choice(("Always", "IfNotPresent", "Never")),
            "`Always` for `:latest` or no tag, else `IfNotPresent`",
        ),
        "terminationMessagePath": silent("/dev/termination-log"),
        "terminationMessagePolicy": silent("File"),
        "securityContext": silent({}),
        "volumeMounts": silent([]),
    }
)

_POD = Struct(
    {
        "containers": Field(
            kind=Many(_CONTAINER, least=1, most=16), doc="exactly one for now", required=True
        ),
        "restartPolicy": optional(Choice(("Always",)), "replicas are always restarted", "Always"),
        "terminationGracePeriodSeconds": optional(
            Number(0, 86400), "time between SIGTERM and SIGKILL", 30
        ),
        "runtimeClassName": optional(
            Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", LABEL_RULE, 63), "`docker` or `sandbox`"
        ),
        "nodeSelector": optional(LABELS, "only nodes with these labels"),
        "affinity": optional(AFFINITY, "where to run, by labels of nodes and of other replicas"),
        "topologySpreadConstraints": optional(Many(SPREAD, most=16), "how evenly to spread"),
        "tolerations": optional(Many(TOLERATION, most=64), "taints of nodes to put up with"),
        "dnsPolicy": silent("ClusterFirst"),
        "enableServiceLinks": optional(
            Flag(), "variables such as `WEB_SERVICE_HOST` for every service; yes by default"
        ),
        "schedulerName": silent("default-scheduler"),
        "securityContext": silent({}),
        "volumes": silent([]),
    }
)

TEMPLATE = Struct(
    {
        "metadata": optional(
            Struct(
                {
                    "labels": optional(LABELS, "labels of every replica"),
                    "annotations": optional(_ANNOTATIONS, "notes; changing one rolls out"),
                    "creationTimestamp": _IGNORED,
                    "name": _IGNORED,
                }
            ),
            "labels and notes of every replica",
            {},
        ),
        "spec": required(_POD, "what every replica runs"),
    }
)

_METADATA_SERVER = dict.fromkeys(
    ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"),
    _IGNORED,
)


def metadata(annotations: str) -> Struct:
    """Return the fields that say who an object is, with what its annotations mean."""
    return Struct(
        {
            "name": Field(kind=NAME, doc="its name", required=True),
            "namespace": optional(NAME, "room for names", "default"),
            "labels": optional(LABELS, "labels"),
            "annotations": optional(_ANNOTATIONS, annotations),
            **_METADATA_SERVER,
        }
    )


_METADATA = metadata(
    "notes; `kijabi.dev/on-failure`: `rollback` (default), `pause` or `none`; "
    "`kijabi.dev/fence: strict`: never run a replica twice, so one on a lost node waits; "
    "`kijabi.dev/drain-seconds`: how long a replica may finish its requests (30); "
    "`kijabi.dev/change-cause`: why"
)

DEPLOYMENT = Struct(
    {
        "apiVersion": required(Choice(("apps/v1",)), "version of the API"),
        "kind": required(Choice(("Deployment",)), "kind of object"),
        "metadata": required(_METADATA, "who it is"),
        "spec": Field(
            kind=Struct(
                {
                    "replicas": optional(Number(0, MAX_REPLICAS), "how many", 1),
                    "selector": optional(
                        Struct(
                            {"matchLabels": optional(LABELS, "must match the template's labels")}
                        ),
                        "defaults to the template's labels",
                    ),
                    "strategy": optional(
                        Struct(
                            {
                                "type": optional(
                                    Choice(("RollingUpdate", "Recreate")),
                                    "replace step by step, or stop all first",
                                    "RollingUpdate",
                                ),
                                "rollingUpdate": optional(
                                    Struct(
                                        {
                                            "maxSurge": optional(Share(), "extra, up", "25%"),
                                            "maxUnavailable": optional(
                                                Share(), "missing, rounded down", "25%"
                                            ),
                                        }
                                    ),
                                    "bounds of each step",
                                ),
                            }
                        ),
                        "how one revision gives way to the next",
                        {},
                    ),
                    "minReadySeconds": optional(
                        Number(0, 86400), "ready for so long counts as available", 0
                    ),
                    "progressDeadlineSeconds": optional(
                        Number(1, 604800), "a rollout that stands still so long has failed", 600
                    ),
                    "revisionHistoryLimit": optional(Number(0, 1000), "old revisions kept", 10),
                    "paused": optional(Flag(), "hold rollouts; scaling goes on", default=False),
                    "template": required(
                        TEMPLATE, "what every replica is; a change makes a revision"
                    ),
                }
            ),
            doc="what is wanted",
            required=True,
        ),
        "status": _IGNORED,
    }
)

_NAMESPACE_METADATA = metadata(
    'notes; `kijabi.dev/open: "true"`: its Docker replicas may be reached directly from every '
    "namespace, not through services only"
)

NAMESPACE = Struct(
    {
        "apiVersion": required(Choice(("v1",)), "version of the API"),
        "kind": required(Choice(("Namespace",)), "kind of object"),
        "metadata": required(
            Struct({**_NAMESPACE_METADATA.fields, "namespace": _IGNORED}), "who it is"
        ),
        "spec": _IGNORED,
        "status": _IGNORED,
    }
)
