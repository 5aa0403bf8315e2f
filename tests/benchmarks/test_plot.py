"""The plot is an image that any reader of SVG takes, on light pages and dark ones."""

import re
from math import isclose
from xml.etree import ElementTree

import pytest

from benchmarks.harness.figures import Figure
from benchmarks.harness.plot import Axis, NothingToShow, dots, svg
from tests.benchmarks.figures import figure, subject

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = [
    figure("a", 1, subject=subject("slow", 90, 100, 110)),
    figure("b", 1, subject=subject("callcov-auth", 0.9, 1.0, 1.1)),
    figure("c", 1, subject=subject("as they <show> & tell", 9, 10, 11, tuned=False)),
    figure("d", 1),
]


def circles(figures: list[Figure]) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg(figures)).iter(f"{SVG}circle"))


def test_it_is_well_formed_and_names_the_packages_fastest_first() -> None:
    root = ElementTree.fromstring(svg(FIGURES))
    names = [text.text for text in root.iter(f"{SVG}text") if text.get("text-anchor") == "end"]
    assert root.tag == f"{SVG}svg"
    assert names == ["callcov-auth", "as they <show> & tell", "slow"]


def test_its_axis_is_logarithmic() -> None:
    places = [float(circle.get("cx", "")) for circle in circles(FIGURES)]
    assert isclose(places[1] - places[0], places[2] - places[1], abs_tol=0.2)


def test_ours_and_what_is_not_tuned_can_be_told_apart() -> None:
    assert [circle.get("class") for circle in circles(FIGURES)] == ["dot ours", "dot documented", "dot"]


def test_it_has_colours_for_light_and_for_dark() -> None:
    style = ElementTree.fromstring(svg(FIGURES)).findtext(f"{SVG}style") or ""
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    coloured = [set(re.findall(r"\.(\w+) \{ [^}]*#", part)) for part in (light, dark)]
    assert coloured[0] == coloured[1] == {"small", "grid", "range", "dot", "ours"}


def test_nothing_leaves_the_picture() -> None:
    root = ElementTree.fromstring(svg(FIGURES))
    width, height = map(float, (root.get("viewBox") or "").split()[2:])
    for circle in circles(FIGURES):
        assert 0 < float(circle.get("cx", "")) < width
        assert 0 < float(circle.get("cy", "")) < height


def test_what_cannot_be_told_from_nothing_has_no_place_on_a_logarithmic_axis() -> None:
    assert dots([figure("a", 1, subject=subject("free", -0.1, 0.1, 0.3))]) == []


def test_a_run_without_packages_has_no_plot() -> None:
    with pytest.raises(NothingToShow, match="no row"):
        svg([figure("refused-forged", 1)])


def test_an_axis_spans_its_powers_of_ten() -> None:
    axis = Axis(0, 2)
    assert axis.x(1) < axis.x(10) < axis.x(100)
    assert axis.x(1) == axis.x(0.5)
