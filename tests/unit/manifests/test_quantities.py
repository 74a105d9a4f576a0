"""Kubernetes quantities, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.manifests import quantities


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("0.1", Fraction(1, 10)), (0.1, Fraction(1, 10)), (".5", Fraction(1, 2)), ("2.", 2),
        ("+3", 3), ("-1", -1), ("100n", Fraction(1, 10**7)), ("5u", Fraction(5, 10**6)),
        ("250m", Fraction(1, 4)), ("1k", 1000), ("1M", 10**6), ("1G", 10**9), ("1T", 10**12),
        ("1P", 10**15), ("1E", 10**18), ("1Ki", 1024), ("1Mi", 1 << 20), ("1Gi", 1 << 30),
        ("1Ti", 1 << 40), ("1Pi", 1 << 50), ("1Ei", 1 << 60), ("1e3", 1000), ("1E3", 1000),
        ("12e-1", Fraction(6, 5)), ("1e+2", 100), (1e22, 10**22), ("1.5Gi", 3 << 29),
    ],
)  # fmt: skip
def test_a_quantity_has_its_exact_value(quantity: object, value: Fraction | int):
    assert quantities.parse(quantity) == value


@pytest.mark.parametrize(
    "quantity",
    ["", "m", "1 Mi", "1\n", "1mi", "1KI", "1K", "1eM", "1e", "0x10", "1_000", "--1", "1.2.3", "٣",
     "9" * 19, "1e999", "NaN", True, None, [], {}, float("inf")],
)  # fmt: skip
def test_anything_else_is_refused_in_words(quantity: object):
    with pytest.raises(ValueError, match=r"is not a quantity such as|has the unknown suffix"):
        quantities.parse(quantity)


@pytest.mark.parametrize(
    ("quantity", "millis"),
    [("500m", 500), ("2", 2000), (1, 1000), (0.5, 500), ("1.0005", 1001), ("1n", 1), ("1k", 10**6)],
)
def test_cpu_is_rounded_up_to_thousandths(quantity: object, millis: int):
    assert quantities.cpu_millis(quantity) == millis


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("64Mi", 64 << 20), ("1G", 10**9), ("1.5Ki", 1536), (128974848, 128974848), ("100m", 1)],
)
def test_memory_is_rounded_up_to_bytes(quantity: object, size: int):
    assert quantities.memory_bytes(quantity) == size


@pytest.mark.parametrize("quantity", ["0", "-1", "1000001m", "1Ei"])
def test_cpu_beyond_any_machine_is_refused(quantity: str):
    with pytest.raises(ValueError, match="is out of range; give more than 0, at most 1000 cores"):
        quantities.cpu_millis(quantity)


@pytest.mark.parametrize("quantity", ["0", "-1Gi", "1025Ti", "1Ei"])
def test_memory_beyond_any_machine_is_refused(quantity: str):
    with pytest.raises(ValueError, match="is out of range; give more than 0, at most 1Pi"):
        quantities.memory_bytes(quantity)


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0"), (1536, "1536"), (3 << 29, "1536Mi"), (1 << 30, "1Gi")]
)
def test_memory_is_shown_with_the_largest_suffix_that_is_exact(size: int, shown: str):
    assert quantities.format_memory(size) == shown


@given(st.integers(1, quantities.MAX_CPU_MILLIS))
def test_cpu_shown_reads_back_as_it_was(millis: int):
    assert quantities.cpu_millis(quantities.format_cpu(millis)) == millis


@given(st.integers(1, 1 << 20), st.integers(0, 30))
def test_memory_shown_reads_back_as_it_was(number: int, shift: int):
    assert quantities.memory_bytes(quantities.format_memory(number << shift)) == number << shift
