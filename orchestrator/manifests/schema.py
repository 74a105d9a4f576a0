"""Every field a user can write, its default and what it means: the one place that says so.

Validation, defaults, messages and the manifest reference in the README all come from this table.
"""

from __future__ import annotations

from orchestrator.core.spec import MAX_REPLICAS
from orchestrator.manifests.fields import (
    ABSENT,
    Anything,
    Choice,
    Field,
    Flag,
    Kind,
    Many,
    Number,
    Only,
    PortReference,
    Quantity,
    Share,
    Struct,
    Table,
    Text,
)

LABEL_RULE = "use at most 63 lower-case letters, digits and '-', beginning and ending with one"
NAME = Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", LABEL_RULE, 63)
_KEY = Text(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    "a key is a name of at most 63 letters, digits, '-', '_' or '.', with an optional prefix/",
    317,
)
_LABEL = Text(
    r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?",
    "a label's value has at most 63 letters, digits, '-', '_' or '.'",
    63,
)
_LABELS = Table(_KEY, _LABEL)
_ANNOTATIONS = Table(_KEY, Text(), frozenset({"kubectl.kubernetes.io/last-applied-configuration"}))
_IMAGE = Text(r"[^\s\x00-\x1f]+", "an image is a name without spaces", 1024)
_ENV_NAME = Text(r"[-._a-zA-Z][-._a-zA-Z0-9]*", "use letters, digits, '-', '_' and '.'", 256)
_PORT = Number(1, 65535)
_IGNORED = Field(kind=Anything(), ignored=True)


def _optional(kind: Kind, doc: str, default: object = ABSENT) -> Field:
    return Field(kind=kind, doc=doc, default=default)


def _required(kind: Kind, doc: str) -> Field:
    return Field(kind=kind, doc=doc, required=True)


def _silent(*values: object) -> Field:
    return Field(kind=Only(values))


_PROBE = Struct(
    {
        "httpGet": _optional(
            Struct(
                {
                    "path": _optional(Text(longest=2048), "path to ask for", "/"),
                    "port": Field(kind=PortReference(), doc="port to ask", required=True),
                    "scheme": _optional(Choice(("HTTP", "HTTPS")), "protocol", "HTTP"),
                    "host": _optional(Text(longest=253), "host instead of the replica's own"),
                    "httpHeaders": _optional(
                        Many(
                            Struct(
                                {
                                    "name": _required(Text(longest=256), "header's name"),
                                    "value": _required(Text(longest=4096), "header's value"),
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
        "tcpSocket": _optional(
            Struct(
                {
                    "port": Field(kind=PortReference(), doc="port to connect to", required=True),
                    "host": _optional(Text(longest=253), "host instead of the replica's own"),
                }
            ),
            "healthy when the connection is accepted",
        ),
        "exec": _optional(
            Struct(
                {"command": Field(kind=Many(Text(), least=1), doc="command inside", required=True)}
            ),
            "healthy when it exits with 0",
        ),
        "initialDelaySeconds": _optional(Number(0, 86400), "wait before the first try", 0),
        "periodSeconds": _optional(Number(1, 86400), "time between tries", 10),
        "timeoutSeconds": _optional(Number(1, 3600), "longest wait for an answer", 1),
        "successThreshold": _optional(Number(1, 1000), "successes in a row to pass", 1),
        "failureThreshold": _optional(Number(1, 1000), "failures in a row to fail", 3),
        "terminationGracePeriodSeconds": _optional(
            Number(1, 86400), "grace when this probe ends the container"
        ),
    }
)

_AMOUNTS = Struct(
    {
        "cpu": _optional(Quantity("cpu"), "cores"),
        "memory": _optional(Quantity("memory"), "bytes"),
    }
)

_CONTAINER = Struct(
    {
        "name": Field(kind=NAME, doc="name of the container", required=True),
        "image": Field(kind=_IMAGE, doc="image to run", required=True),
        "command": _optional(Many(Text()), "replaces the image's entrypoint"),
        "args": _optional(Many(Text()), "replaces the image's command"),
        "workingDir": _optional(Text(r"/.*", "it must be an absolute path", 4096), "directory"),
        "env": _optional(
            Many(
                Struct(
                    {
                        "name": _required(_ENV_NAME, "its name"),
                        "value": _optional(Text(), "value", ""),
                    }
                )
            ),
            "environment variables",
        ),
        "ports": _optional(
            Many(
                Struct(
                    {
                        "containerPort": Field(kind=_PORT, doc="listens here", required=True),
                        "hostPort": _optional(_PORT, "published on the node under this number"),
                        "protocol": _optional(Choice(("TCP", "UDP")), "protocol", "TCP"),
                        "name": _optional(
                            Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", LABEL_RULE, 15), "its name"
                        ),
                    }
                ),
                most=64,
            ),
            "ports it listens on; `$PORT` is the first",
        ),
        "resources": _optional(
            Struct(
                {
                    "limits": _optional(_AMOUNTS, "enforced by the runtime"),
                    "requests": _optional(_AMOUNTS, "weight and reservation; defaults to limits"),
                }
            ),
            "changed in place, without a restart",
            {},
        ),
        "startupProbe": _optional(_PROBE, "holds the other probes back until it passes"),
        "readinessProbe": _optional(_PROBE, "ready to serve?"),
        "livenessProbe": _optional(_PROBE, "restarted in place when it fails"),
        "imagePullPolicy": _optional(
            Choice(("Always", "IfNotPresent", "Never")),
            "`Always` for `:latest` or no tag, else `IfNotPresent`",
        ),
        "terminationMessagePath": _silent("/dev/termination-log"),
        "terminationMessagePolicy": _silent("File"),
        "securityContext": _silent({}),
        "volumeMounts": _silent([]),
    }
)

_POD = Struct(
    {
        "containers": Field(
            kind=Many(_CONTAINER, least=1, most=16), doc="exactly one for now", required=True
        ),
        "restartPolicy": _optional(Choice(("Always",)), "replicas are always restarted", "Always"),
        "terminationGracePeriodSeconds": _optional(
            Number(0, 86400), "time between SIGTERM and SIGKILL", 30
        ),
        "runtimeClassName": _optional(
            Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", LABEL_RULE, 63), "`docker` or `sandbox`"
        ),
        "nodeSelector": _optional(_LABELS, "only nodes with these labels"),
        "dnsPolicy": _silent("ClusterFirst"),
        "schedulerName": _silent("default-scheduler"),
        "securityContext": _silent({}),
        "volumes": _silent([]),
    }
)

TEMPLATE = Struct(
    {
        "metadata": _optional(
            Struct(
                {
                    "labels": _optional(_LABELS, "labels of every replica"),
                    "annotations": _optional(_ANNOTATIONS, "notes; changing one rolls out"),
                    "creationTimestamp": _IGNORED,
                    "name": _IGNORED,
                }
            ),
            "labels and notes of every replica",
            {},
        ),
        "spec": _required(_POD, "what every replica runs"),
    }
)

_METADATA_SERVER = dict.fromkeys(
    ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"),
    _IGNORED,
)
_METADATA = Struct(
    {
        "name": Field(kind=NAME, doc="its name", required=True),
        "namespace": _optional(NAME, "room for names", "default"),
        "labels": _optional(_LABELS, "labels"),
        "annotations": _optional(
            _ANNOTATIONS,
            "notes; `kijabi.dev/on-failure`: `rollback` (default), `pause` or `none`; "
            "`kijabi.dev/fence: strict`: never run a replica twice, so one on a lost node waits; "
            "`kijabi.dev/change-cause`: why",
        ),
        **_METADATA_SERVER,
    }
)

DEPLOYMENT = Struct(
    {
        "apiVersion": _required(Choice(("apps/v1",)), "version of the API"),
        "kind": _required(Choice(("Deployment",)), "kind of object"),
        "metadata": _required(_METADATA, "who it is"),
        "spec": Field(
            kind=Struct(
                {
                    "replicas": _optional(Number(0, MAX_REPLICAS), "how many", 1),
                    "selector": _optional(
                        Struct(
                            {"matchLabels": _optional(_LABELS, "must match the template's labels")}
                        ),
                        "defaults to the template's labels",
                    ),
                    "strategy": _optional(
                        Struct(
                            {
                                "type": _optional(
                                    Choice(("RollingUpdate", "Recreate")),
                                    "replace step by step, or stop all first",
                                    "RollingUpdate",
                                ),
                                "rollingUpdate": _optional(
                                    Struct(
                                        {
                                            "maxSurge": _optional(Share(), "extra, up", "25%"),
                                            "maxUnavailable": _optional(
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
                    "minReadySeconds": _optional(
                        Number(0, 86400), "ready for so long counts as available", 0
                    ),
                    "progressDeadlineSeconds": _optional(
                        Number(1, 604800), "a rollout that stands still so long has failed", 600
                    ),
                    "revisionHistoryLimit": _optional(Number(0, 1000), "old revisions kept", 10),
                    "paused": _optional(Flag(), "hold rollouts; scaling goes on", default=False),
                    "template": _required(
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

NAMESPACE = Struct(
    {
        "apiVersion": Field(kind=Choice(("v1",)), required=True),
        "kind": Field(kind=Choice(("Namespace",)), required=True),
        "metadata": Field(kind=Struct({**_METADATA.fields, "namespace": _IGNORED}), required=True),
        "spec": _IGNORED,
        "status": _IGNORED,
    }
)

KINDS = {"Deployment": DEPLOYMENT, "Namespace": NAMESPACE}
