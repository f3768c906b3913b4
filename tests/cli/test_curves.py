"""Curves of numbers at the ends of what a float holds are drawn like any other."""

from cairn.cli.curves import plot


def test_the_largest_numbers_have_a_curve() -> None:
    steep, usual = [(1, 1.7e308), (10**39, -1.7e308)], [(1, 1.0), (2, 0.0)]
    drawn = [line.partition("┤")[2] for line in plot(steep, steep, 4, 2)[:2]]
    assert drawn == [line.partition("┤")[2] for line in plot(usual, usual, 4, 2)[:2]]
