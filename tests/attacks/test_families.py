"""There are cases enough, each says where it comes from, and no family is without a control."""

import re
from collections import Counter
from pathlib import Path

import pytest

from callcov_auth.errors import InvalidToken, TokenExpired
from tests.attacks.families import FAMILIES, cases, controls, every_case

SOURCE = re.compile(r"CVE-\d{4}-\d{4,5}|RFC \d{4}|CWE-\d+|NIST SP \d+|OpenID Connect \w+")


def test_at_least_two_hundred_attacks_are_refused_by_authenticate() -> None:
    refused = [case for case in every_case() if case.door == "authenticate"]
    assert sum(case.error in (InvalidToken, TokenExpired) for case in refused) >= 200


def test_there_are_as_many_controls_as_families() -> None:
    assert sum(len(controls(family)) for family in FAMILIES) >= len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_cases_with_sources_and_a_control(family: str) -> None:
    assert [case.name for case in cases(family) if not SOURCE.search(case.source)] == []
    names = Counter(case.name for case in cases(family))
    assert [name for name, count in names.items() if count > 1] == []
    assert controls(family)


def test_the_page_on_security_names_every_family() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    assert [family for family in FAMILIES if f"`test_{family}.py`" not in page] == []
