"""Rows as kubectl prints them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], object]]


def _age(key: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        if not row.get(key):
            return "-"
        seconds = int((datetime.now(UTC) - datetime.fromisoformat(row[key])).total_seconds())
        for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
            if seconds >= 2 * size:
                return f"{seconds // size}{letter}"
        return f"{max(0, seconds)}s"

    return show


def _field(key: str) -> Callable[[Row], object]:
    return lambda row: row.get(key)


def _status(row: Row) -> str:
    if row["phase"] == "running" and row["ready"]:
        return "Running"
    reason = row["reason"] or row["phase"].capitalize()
    return f"{reason} (again in {_until(row, 'next_try_at')})" if row.get("next_try_at") else reason


def _until(row: Row, key: str) -> str:
    left = datetime.fromisoformat(row[key]) - datetime.now(UTC)
    return f"{max(0, int(left.total_seconds()))}s"


def _node_state(row: Row) -> str:
    words = [row["state"]]
    if row["doubted"]:
        words = [f"{row['state']} (most fell silent at once)"]
    elif row["lost_due_at"]:
        words = [f"{row['state']} (lost in {_until(row, 'lost_due_at')})"]
    if row["draining"]:
        words.append("drained" if row["drained_at"] else "draining")
    elif row["cordoned"]:
        words.append("cordoned")
    return ",".join(words)


def _memory(row: Row) -> str:
    return f"{row['memory_bytes_reserved'] >> 20}Mi/{row['memory_bytes'] >> 20}Mi"


def _taint(taint: Row) -> str:
    value = f"={taint['value']}" if taint["value"] else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _port(port: Row) -> str:
    node_port = f":{port['node_port']}" if port["node_port"] else ""
    return f"{port['port']}{node_port}/{port['protocol']}"


def _standing(row: Row, word: str) -> int:
    return sum(endpoint["standing"] == word for endpoint in row["endpoints"])


_NAMESPACE: Column = ("NAMESPACE", _field("namespace"))

COLUMNS: dict[str, list[Column]] = {
    "deployments": [
        _NAMESPACE,
        ("NAME", _field("name")),
        ("READY", lambda row: f"{row['status']['ready']}/{row['spec']['replicas']}"),
        ("UP-TO-DATE", lambda row: row["status"]["updated"]),
        ("AVAILABLE", lambda row: row["status"]["available"]),
        ("REVISION", lambda row: row["status"]["revision"]),
        ("PHASE", lambda row: row["status"]["phase"]),
        ("AGE", _age("created_at")),
    ],
    "autoscalers": [
        _NAMESPACE,
        ("NAME", _field("name")),
        ("REFERENCE", lambda row: f"Deployment/{row['target']}"),
        ("TARGETS", lambda row: ", ".join(row["targets"])),
        ("MINPODS", _field("minimum")),
        ("MAXPODS", _field("maximum")),
        ("REPLICAS", _field("replicas")),
        ("AGE", _age("created_at")),
    ],
    "replicas": [
        _NAMESPACE,
        ("NAME", _field("uid")),
        ("DEPLOYMENT", _field("deployment")),
        ("SLOT", _field("slot")),
        ("REV", _field("revision")),
        ("READY", lambda row: "yes" if row["ready"] else "no"),
        ("STATUS", _status),
        ("RESTARTS", _field("restarts")),
        ("NODE", _field("node")),
        ("AGE", _age("created_at")),
    ],
    "nodes": [
        ("NAME", _field("name")),
        ("STATE", _node_state),
        ("REPLICAS", _field("replicas")),
        ("RUNTIMES", lambda row: ",".join(row["runtimes"])),
        ("CPU", lambda row: f"{row['cpu_millis_reserved']}m/{row['cpu_millis']}m"),
        (
            "MEMORY",
            _memory,
        ),
        ("SEEN", _age("seen_at")),
        ("AGE", _age("joined_at")),
    ],
    "services": [
        _NAMESPACE,
        ("NAME", _field("name")),
        ("TYPE", lambda row: row["spec"]["type"]),
        ("CLUSTER-IP", lambda row: ",".join(row["status"]["addresses"]) or "None"),
        ("PORT(S)", lambda row: ",".join(_port(port) for port in row["status"]["ports"])),
        ("SERVING", lambda row: row["status"]["serving"]),
        ("AGE", _age("created_at")),
    ],
    "ingresses": [
        _NAMESPACE,
        ("NAME", _field("name")),
        ("HOSTS", lambda row: ",".join(host or "*" for host in row["status"]["hosts"])),
        ("TLS", lambda row: ",".join(row["status"]["tls_hosts"])),
        ("STATE", lambda row: "held" if row["status"]["held"] else "open"),
        ("AGE", _age("created_at")),
    ],
    "secrets": [
        _NAMESPACE,
        ("NAME", _field("name")),
        ("TYPE", _field("type")),
        ("HOSTS", lambda row: ",".join(row["hosts"])),
        ("EXPIRES", lambda row: row["expires_at"][:10]),
        ("AGE", _age("created_at")),
    ],
    "routes": [
        _NAMESPACE,
        ("SERVICE", _field("service")),
        ("IN", lambda row: _standing(row, "serving")),
        ("DRAINING", lambda row: _standing(row, "draining")),
        ("OUT", lambda row: _standing(row, "out")),
        ("GENERATION", _field("generation")),
        ("UNCONFIRMED", lambda row: ",".join(row["unconfirmed"])),
    ],
    "gateways": [
        ("NODE", _field("node")),
        ("WAYS", lambda row: ",".join(row["ways"])),
        ("GENERATION", lambda row: f"{row['generation']}/{row['latest_generation']}"),
        ("BEHIND", lambda row: "yes" if row["behind"] else "no"),
        ("BUSY", lambda row: len(row["busy"])),
        ("CONFIRMED", _age("confirmed_at")),
    ],
    "namespaces": [
        ("NAME", _field("name")),
        ("STATUS", lambda row: "Terminating" if row["deleting"] else "Active"),
        ("OPEN", lambda row: "yes" if row["open"] else "no"),
        ("AGE", _age("created_at")),
    ],
    "jobs": [
        ("NAME", _field("uid")),
        ("OPERATION", _field("operation")),
        ("DEPLOYMENT", lambda row: f"{row['namespace']}/{row['deployment']}"),
        ("REPLICA", _field("replica")),
        ("NODE", _field("node")),
        ("STATE", _field("state")),
        ("ATTEMPTS", _field("attempts")),
        ("REASON", _field("reason")),
        ("AGE", _age("created_at")),
    ],
    "events": [
        ("AGE", _age("at")),
        ("TYPE", _field("severity")),
        ("REASON", _field("reason")),
        ("OBJECT", lambda row: row["replica"] or row["deployment"] or row["node"] or "-"),
        ("BY", _field("actor")),
        ("MESSAGE", _field("message")),
    ],
}
WIDE: dict[str, list[Column]] = {
    "deployments": [
        ("SCALED BY", lambda row: row["scaled_by"] or "manifest"),
        ("MESSAGE", lambda row: row["status"]["message"]),
    ],
    "autoscalers": [("DECISION", _field("word")), ("MESSAGE", _field("message"))],
    "replicas": [
        ("ADDRESS", _field("address")),
        ("MESSAGE", lambda r: r["message"] or r["waiting"]),
        ("ORIGIN", _field("origin")),
    ],
    "nodes": [
        ("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in row["labels"].items())),
        ("TAINTS", lambda row: ",".join(_taint(taint) for taint in row["taints"])),
        ("NOTES", lambda row: "; ".join(filter(None, [*row["notes"], row["refusal"]]))),
    ],
    "services": [
        ("SELECTOR", lambda row: ",".join(f"{k}={v}" for k, v in row["spec"]["selector"].items())),
        ("MESSAGE", lambda row: row["status"]["message"]),
    ],
    "ingresses": [("GENERATION", lambda row: row["status"]["routes_generation"])],
    "secrets": [("GENERATION", _field("generation"))],
    "routes": [("ADDRESSES", lambda row: ",".join(row["addresses"]))],
    "gateways": [("MESSAGE", _field("message"))],
    "jobs": [("MESSAGE", _field("message"))],
    "events": [("CAUSE", _field("cause"))],
}


def render(kind: str, rows: Sequence[Row], *, wide: bool, with_namespace: bool) -> str:
    """Return the table of some rows."""
    columns = COLUMNS[kind] + (WIDE[kind] if wide else [])
    if not with_namespace:
        columns = [column for column in columns if column is not _NAMESPACE]
    cells = [[name for name, _ in columns]]
    cells += [[_text(show(row)) for _, show in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def remarks(kind: str, rows: Sequence[Row]) -> list[str]:
    """Return what is to be said below the table, in one line for replicas alike.

    That is why some wait, from where some were moved lately, or why some are not in rotation.
    """
    if kind == "routes":
        return list(_why_not_serving(rows))
    if kind == "services":
        told = [(row["name"], row["status"]["warning"]) for row in rows]
        return [f"{name}: {warning}" for name, warning in told if warning]
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows if kind == "replicas" else ():
        for sentence in (row["waiting"], row["origin"] if _is_recent(row) else ""):
            if sentence:
                alike.setdefault((row["deployment"], sentence), []).append(row["uid"])
    return [
        f"{deployment}: {', '.join(uids)}: {sentence}"
        for (deployment, sentence), uids in alike.items()
    ]


def _is_recent(row: Row) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(row["created_at"]) < timedelta(hours=1)


def _why_not_serving(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        alike: dict[str, list[str]] = {}
        for endpoint in row["endpoints"]:
            if endpoint["standing"] != "serving":
                alike.setdefault(endpoint["why"], []).append(endpoint["replica"])
        yield from (f"{row['service']}: {', '.join(uids)}: {why}" for why, uids in alike.items())
        if row["warning"] and not alike:
            yield f"{row['service']}: {row['warning']}"


def _text(value: object) -> str:
    return "-" if value in (None, "") else str(value)
