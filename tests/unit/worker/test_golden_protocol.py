"""Messages as an earlier release wrote them: each file here is kept, and must still be read.

A change of the protocol adds files; it rewrites none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker import envelope, measured, protocol, routes, sealing
from worker.identity import Keys, verify_key

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "protocol"
KINDS = {
    "start-job": protocol.StartJob,
    "stop-job": protocol.StopJob,
    "update-job": protocol.UpdateJob,
    "retry-job": protocol.RetryJob,
    "log-request": protocol.LogRequest,
    "command-request": protocol.CommandRequest,
    "forward-request": protocol.ForwardRequest,
    "report": protocol.NodeReport,
    "metrics": measured.MetricsReport,
    "report-routing": protocol.NodeReport,
    "routing-table": routes.RoutingTable,
    "routing-table-newcomers": routes.RoutingTable,
}


def golden(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_message_of_before_is_read_and_written_as_it_was(name: str, kind: type):
    wire = golden(name)

    assert json.loads(json.dumps(protocol.to_wire(protocol.from_wire(kind, wire)))) == wire


@pytest.mark.parametrize("name", ["letter", "letter-report"])
def test_a_letter_of_before_is_opened(name: str):
    kept = golden(name)
    keys = Keys(**kept["receiver"])

    letter = envelope.open_letter(
        kept["envelope"],
        verify_key(kept["signed_by"]),
        audience=kept["audience"],
        task=kept["task"],
        now=kept["now"],
    )

    values = envelope.unseal(letter.sealed, keys.sealing_key)
    assert sealing.reveal(letter.task, letter.arguments, values) == kept["arguments"]
