"""Every reader is held to the conformance suite, and so has seeds for fuzzing."""

from fuzz.seeds import suites


def test_every_built_in_reader_has_a_conformance_suite() -> None:
    assert [name for name, found in suites().items() if not found] == []
