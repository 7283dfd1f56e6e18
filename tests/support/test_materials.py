"""The bill of materials: licences are read as CycloneDX writes them, and judged."""

import pytest

from support.materials import licence_problems, licences


def component(name: str, *named: dict[str, object]) -> dict[str, object]:
    return {"name": name, "licenses": list(named)}


def test_the_licences_of_each_component_are_read() -> None:
    materials = {
        "components": [
            component("a", {"license": {"id": "MIT"}}),
            component("b", {"expression": "Apache-2.0 OR BSD-3-Clause"}),
            component("c", {"license": {"name": "License :: OSI Approved :: BSD License"}}),
            {"name": "d"},
        ]
    }
    assert licences(materials) == {
        "a": ["MIT"],
        "b": ["Apache-2.0 OR BSD-3-Clause"],
        "c": ["License :: OSI Approved :: BSD License"],
        "d": [],
    }


@pytest.mark.parametrize(
    ("name", "named", "is_fine"),
    [
        ("a", ["MIT"], True),
        ("certifi", ["MPL-2.0"], True),
        (
            "certifi",
            ["MPL-2.0", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"],
            True,
        ),
        ("certifi", ["MPL-2.0", "GPL-3.0-only"], False),
        ("other", ["MPL-2.0"], False),
        ("cffi", ["MIT-0"], True),
        ("a", ["AGPL-3.0-only"], False),
        ("a", [], False),
        ("a", ["GPL-3.0-only AND MIT"], False),
        ("a", ["GPL-3.0-only OR MIT"], True),
        ("a", ["MIT", "GPL-3.0-only"], False),
        ("a", ["Limited use"], False),
        ("a", ["License :: OSI Approved :: BSD License"], True),
        ("a", ["License :: OSI Approved :: Apache Software License"], True),
        ("a", ["BSD-3-Clause AND Apache-2.0"], True),
    ],
)
def test_a_licence_that_binds_users_or_is_missing_is_a_problem(
    name: str, named: list[str], is_fine: bool
) -> None:
    assert (licence_problems({name: named}) == []) == is_fine
