"""Letters: what is not by the right hand, for this receiver, task and time, is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.letters import CONTROL_KEYS, an_identity, letter_to
from tests.machine import spec
from worker import envelope, protocol, sealing
from worker.envelope import CONTROL, LIVES_SECONDS, SKEW_SECONDS, Refusals, Refused
from worker.identity import Keys, verify_key
from worker.protocol import ContainerSpec, StartJob

NOW = 1_700_000_000.0
NODE = an_identity()
TASK = protocol.STOP_TASK
LETTER = letter_to(NODE, TASK, now=NOW, jobs=[{"uid": "j"}])


def opened(wire: object, *, audience: str = "n1", task: str = TASK, now: float = NOW):
    key = verify_key(CONTROL_KEYS.public[0])
    return envelope.open_letter(wire, key, audience=audience, task=task, now=now)


def resigned(**changes: object) -> dict[str, str]:
    """Return the letter with another body, signed by the control plane itself."""
    body = json.dumps({**json.loads(LETTER["body"]), **changes})
    signature = CONTROL_KEYS.signing_key.sign(body.encode()).signature
    return {"body": body, "sig": base64.b64encode(signature).decode(), "key": CONTROL}


def test_a_letter_arrives_as_it_was_written():
    letter = opened(LETTER)

    assert (letter.sender, letter.audience, letter.task) == (CONTROL, "n1", TASK)
    assert letter.arguments == {"jobs": [{"uid": "j"}]}


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        pytest.param(None, "malformed", id="no envelope"),
        pytest.param([LETTER], "malformed", id="a list"),
        pytest.param({}, "malformed", id="nothing in it"),
        pytest.param({**LETTER, "key": 5}, "malformed", id="signed by a number"),
        pytest.param({**LETTER, "key": "k" * 64}, "malformed", id="signed by a novel"),
        pytest.param({**LETTER, "key": "n1"}, "re-addressed", id="in another's name"),
        pytest.param({**LETTER, "sig": None}, "malformed", id="not signed"),
        pytest.param({**LETTER, "sig": "?"}, "forged", id="a signature that is none"),
        pytest.param({**LETTER, "sig": LETTER["sig"][:40]}, "forged", id="half a signature"),
        pytest.param({**LETTER, "body": LETTER["body"][:-9]}, "forged", id="truncated"),
        pytest.param({**LETTER, "body": "[" * 100_000}, "forged", id="deep nonsense"),
        pytest.param(
            letter_to(NODE, TASK, now=NOW, signed_by=Keys.make()), "forged", id="another's key"
        ),
        pytest.param(letter_to(an_identity("n2"), TASK, now=NOW), "re-addressed", id="for another"),
        pytest.param(
            letter_to(NODE, protocol.START_TASK, now=NOW), "re-addressed", id="for another task"
        ),
        pytest.param(resigned(arguments=[]), "malformed", id="arguments of another shape"),
        pytest.param(resigned(version=2), "newer", id="a newer protocol"),
    ],
)
def test_a_letter_is_refused(wire: object, why: str):
    with pytest.raises(Refused) as refused:
        opened(wire)

    assert refused.value.why == why


@pytest.mark.parametrize("late", [-SKEW_SECONDS - 1, LIVES_SECONDS + SKEW_SECONDS + 1])
def test_a_letter_is_refused_out_of_its_time_and_the_clocks_are_blamed(late: float):
    with pytest.raises(Refused, match=r"set the one that is wrong .NTP.") as refused:
        opened(LETTER, now=NOW + late)

    assert refused.value.why == "expired"


@pytest.mark.parametrize("late", [-SKEW_SECONDS, 0, LIVES_SECONDS])
def test_clocks_may_differ_a_little(late: float):
    assert opened(LETTER, now=NOW + late)


def test_a_newer_protocol_is_refused_with_what_to_do():
    with pytest.raises(Refused, match=r"version 2, and .* no more than 1; upgrade node"):
        opened(resigned(version=2))


def test_what_a_newer_release_adds_to_a_letter_is_ignored():
    assert opened(resigned(colour="blue")).arguments == {"jobs": [{"uid": "j"}]}


@given(st.data())
def test_no_changed_letter_is_believed(data: st.DataObject):
    part = data.draw(st.sampled_from(("body", "sig")))
    text = LETTER[part]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    # Base64 has spare bits at its end: another last letter may mean the same signature.
    changed = {**LETTER, part: text[:at] + other + text[at + 1 :]}
    if part == "sig" and _bits(changed["sig"]) == _bits(text):
        return

    with pytest.raises(Refused):
        opened(changed)


def _bits(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


SECRET = "correct horse battery staple"
CONTAINER = ContainerSpec(name="main", image="app:1", env=(("PASSWORD", SECRET),))
JOBS = [
    protocol.to_wire(StartJob(uid=f"j{n}", replica=replace(spec(f"r{n}"), containers=(CONTAINER,))))
    for n in range(3)
]
COMMAND = {"uid": "c", "replica": "r", "argv": ["echo", SECRET]}


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        pytest.param(protocol.START_TASK, {"jobs": JOBS}, id="variables"),
        pytest.param(protocol.RUN_COMMAND_TASK, {"request": COMMAND}, id="the words of a command"),
    ],
)
def test_secrets_travel_sealed_and_come_out_in_their_places(task: str, arguments: dict):
    wire = letter_to(NODE, task, now=NOW, **arguments)
    letter = opened(wire, task=task)
    values = envelope.unseal(letter.sealed, NODE.keys.sealing_key)

    revealed = sealing.reveal(task, letter.arguments, values)

    assert SECRET not in wire["body"]
    assert revealed == json.loads(json.dumps(arguments))


def test_nobody_else_can_read_what_is_sealed():
    letter = opened(
        letter_to(NODE, protocol.START_TASK, now=NOW, jobs=JOBS), task=protocol.START_TASK
    )

    with pytest.raises(Refused, match="sealed to another key"):
        envelope.unseal(letter.sealed, Keys.make().sealing_key)


def test_an_earlier_release_that_sealed_nothing_is_understood():
    assert sealing.reveal(protocol.START_TASK, {"jobs": JOBS}, []) == {"jobs": JOBS}


@pytest.mark.parametrize("place", [{"sealed": 7}, {"sealed": "0"}, {}, {"sealed": -1}])
def test_a_place_without_a_value_is_malformed(place: dict):
    jobs = [{"replica": {"containers": [{"env": place}]}}]

    with pytest.raises(protocol.MalformedMessage, match="sealed value"):
        sealing.reveal(protocol.START_TASK, {"jobs": jobs}, ["only one"])


@pytest.mark.parametrize(
    "jobs", [None, 5, [None], [{"replica": 5}], [{"replica": {"containers": 1}}]]
)
def test_arguments_of_an_unknown_shape_are_left_to_whoever_reads_them(jobs: object):
    assert sealing.reveal(protocol.START_TASK, {"jobs": jobs}, []) == {"jobs": jobs}


def test_refusals_are_all_counted_and_rarely_logged(caplog: pytest.LogCaptureFixture):
    times = iter([0.0, *(1.0 for _ in range(998)), 11.0])
    refusals = Refusals(clock=lambda: next(times))

    for _ in range(1000):
        refusals.note(Refused("forged", "not signed"))

    assert refusals.counts == {"forged": 1000}
    assert len(caplog.records) == 2
    assert "forged 1000" in caplog.text


def test_what_lasts_is_remembered_for_a_while():
    now = [0.0]
    refusals = Refusals(clock=lambda: now[0])

    refusals.note(Refused("replayed", "taken before"))
    refusals.note(Refused("expired", "set the clock"))
    now[0] = 100.0

    assert refusals.lasting(120) == "set the clock"
    assert refusals.lasting(60) == ""


@pytest.mark.parametrize(
    ("later", "sentence"),
    [
        pytest.param(
            -3600, "the clock of the control plane is 3600 s ahead of that of", id="ahead"
        ),
        pytest.param(3600, "was signed 3600 s ago by the clock of node", id="behind"),
    ],
)
def test_a_clock_that_is_wrong_is_told_with_the_difference(later: float, sentence: str):
    with pytest.raises(Refused, match=sentence):
        opened(LETTER, now=NOW + later)
