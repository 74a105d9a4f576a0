"""What a node is told of itself when it is started: labels and taints."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from orchestrator.launch import nodes


def options_of(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    nodes.add_worker_options(parser)
    return parser.parse_args(words)


def test_labels_and_taints_reach_the_worker(tmp_path: Path):
    options = options_of("--label", "disk=ssd", "--label", "zone=", "--taint", "gpu=yes:NoSchedule")

    env = nodes.child(tmp_path, "n1", options).environment

    assert env["KIJABI_NODE_LABELS"] == "disk=ssd,zone="
    assert env["KIJABI_NODE_TAINTS"] == "gpu=yes:NoSchedule"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--label", "disk"), "'disk' is no label; write key=value"),
        (("--label", "a=b,c=d"), "is no label"),
        (("--taint", "gpu=yes"), "'gpu=yes' is no taint; write key=value:Effect"),
        (("--taint", "gpu=yes:NoExecute"), "NoSchedule or PreferNoSchedule"),
    ],
)
def test_nonsense_is_told_before_anything_starts(
    words: tuple[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit):
        options_of(*words)

    assert sentence in capsys.readouterr().err
