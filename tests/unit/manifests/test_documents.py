"""From text to plain values: strict, bounded, and never at the cost of the process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.manifests import documents
from orchestrator.manifests.problems import ManifestInvalid
from tests.unit.manifests.samples import faults

TOO_MUCH = "more than 100,000 values or is nested deeper than 64"


def values(text: str | bytes) -> list[Any]:
    return [document.value for document in documents.load(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a: 2026-01-31", {"a": "2026-01-31"}, id="a-date-stays-a-string"),
        pytest.param("a: 2026-01-31T10:00:00Z", {"a": "2026-01-31T10:00:00Z"}, id="an-instant-too"),
        pytest.param("a: 22:22", {"a": "22:22"}, id="no-base-sixty"),
        pytest.param("a: 1:30.5", {"a": "1:30.5"}, id="no-base-sixty-fractions"),
        pytest.param("a: off", {"a": False}, id="off-is-false"),
        pytest.param("on: 1", {"on": 1}, id="a-key-is-always-a-string"),
        pytest.param("1: a", {"1": "a"}, id="a-number-as-key"),
        pytest.param("a: 0x1F", {"a": 31}, id="hexadecimal"),
        pytest.param("a: ~\nb:", {"a": None, "b": None}, id="nothing"),
        pytest.param("a: !!str 1", {"a": "1"}, id="tag-of-a-string"),
        pytest.param("a: =", {"a": "="}, id="equals-sign"),
        pytest.param("a: &x [1]\nb: *x", {"a": [1], "b": [1]}, id="alias"),
        pytest.param("b: 1\na: 2", {"b": 1, "a": 2}, id="order-of-keys"),
        pytest.param("a: [1e3, -2.5E-1]", {"a": [1000.0, -0.25]}, id="numbers-as-json-has-them"),
        pytest.param("a: '1e3'", {"a": "1e3"}, id="a-number-in-quotes-is-a-string"),
        pytest.param('{\n\t"a": 1\n}', {"a": 1}, id="json-indented-with-tabs"),
        pytest.param('{"a": "\\ud83d\\ude00"}', {"a": "😀"}, id="json-with-a-surrogate-pair"),
        pytest.param(json.dumps({"k" * 2000: 1}), {"k" * 2000: 1}, id="json-with-a-long-key"),
        pytest.param(b"\xef\xbb\xbfa: 1", {"a": 1}, id="byte-order-mark"),
    ],
)
def test_a_value_is_read_as_it_is_meant(text: str | bytes, value: object):
    (found,) = values(text)

    assert found == value
    assert list(found) == list(value)


def test_empty_documents_are_skipped_and_still_counted():
    found = documents.load("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n")

    assert [document.value for document in found] == [{"a": 1}, {"b": 2}]
    assert [document.findings.document for document in found] == [2, 4]


def test_every_place_knows_its_line():
    (found,) = documents.load("a:\n  - b: 1\n  - c:\n      d: 2\n")

    assert found.findings.lines[("a", 0, "b")] == 2
    assert found.findings.lines[("a", 1, "c", "d")] == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "line 2: this is not valid YAML or JSON"),
        ("a:\n\tb: 1", "line 2: this is not valid YAML or JSON"),
        ("a: b\nc: \x07", "line 2: the control character '\\x07' is not allowed"),
        ("a: \x00", "line 1: the control character '\\x00' is not allowed"),
        ('a: "\\0"', "document 1, line 1: a: the text holds a NUL character"),
        ('"\\0": a', "document 1, line 1: the text holds a NUL character"),
        (b"\xff\xfe", "the text is not UTF-8 (byte 0)"),
        ("a: 1\na: 2", 'line 2: a: the key "a" is given twice; remove one'),
        ('{\t"a":1,"a":2}', 'line 1: a: the key "a" is given twice; remove one'),
        ('{"😀": "\\ud83d\\ude00", "a":1, "a":2}', 'the key "a" is given twice; remove one'),
        ('{\t"a": NaN, "b": "\\ud83d\\ude00"}', "nan is not a finite number"),
        ("a: .inf", "a: inf is not a finite number"),
        ("a: 1" + "0" * 5000, "is not a number this can hold"),
        ("a: !!int b", 'a: "b" is not a number this can hold'),
        ("a: !!bool b", 'a: the YAML tag "!!bool" is not allowed here; remove it'),
        ("a: !!null b", 'a: the YAML tag "!!null" is not allowed here; remove it'),
        ("a: !!binary aGk=", 'a: the YAML tag "!!binary" is not allowed here; remove it'),
        ("a: !!set {b}", 'a: the YAML tag "!!set" is not allowed here; remove it'),
        ("!x {a: 1}", 'line 1: the YAML tag "!x" is not allowed here; remove it'),
        ("? {a: b}\n: c", "line 1: a key must be a plain string"),
        ("a: &x {b: 1}\nc: {<<: *x}", 'line 2: c["<<"]: merge keys ("<<") are not supported'),
        ("a: &x 1\nb: *y", 'line 2: the alias "*y" names no value that ends before it'),
        ("a: &x [*x]", 'line 1: the alias "*x" names no value that ends before it'),
        ("a: &x 1\n---\nb: *x", 'line 3: the alias "*x" names no value that ends before it'),
    ],
)
def test_what_bends_the_rules_is_refused(text: str | bytes, sentence: str):
    with pytest.raises(ManifestInvalid) as caught:
        documents.load(text)

    assert sentence in str(caught.value)


def test_a_strange_key_of_a_merge_is_shown_as_written():
    assert faults("<<: 1")[0].startswith('document 1, line 1: ["<<"]: merge keys')


# Each of these once ended the process in the C library, or kept it busy for seconds.
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 1_000_000, id="brackets"),
        pytest.param("{a: " * 200_000, id="braces"),
        pytest.param("- " * 400_000, id="dashes"),
        pytest.param("? " * 400_000, id="question-marks"),
        pytest.param('{"a":\t' * 100_000, id="json"),
        pytest.param("[" * 66 + "]" * 66, id="one-level-too-deep"),
        pytest.param('{"b":"\\ud83d\\ude00","a":' + "[" * 65 + "]" * 65 + "}", id="deep-json"),
        pytest.param("[" + "a," * 200_000 + "]", id="many-values"),
        pytest.param("--- a\n" * 150_000, id="many-documents"),
    ],
)
def test_a_text_too_deep_or_with_too_many_values_is_refused(text: str):
    (told,) = faults(text)

    assert TOO_MUCH in told


def test_the_deepest_text_that_is_accepted():
    assert values("[" * 65 + "]" * 65)


def test_a_bomb_of_aliases_is_refused_before_it_goes_off():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    (told,) = faults("\n".join(lines))

    assert TOO_MUCH in told


def test_a_mebibyte_is_accepted_and_one_byte_more_is_not():
    largest = "a: " + "x" * (documents.MAX_BYTES - 3)

    assert len(values(largest)) == 1
    assert "at most 1,048,576 are accepted" in faults(largest + "x")[0]
    assert "at most 1,048,576 are accepted" in faults("ä" * (documents.MAX_BYTES // 2 + 1))[0]
