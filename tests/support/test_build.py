"""The checks of wheel and sdist, on lists of files and metadata made by hand."""

from email import message_from_string

import pytest
from packaging.requirements import Requirement

from support.build import (
    NEEDED_IN_SDIST,
    NEEDED_IN_WHEEL,
    metadata_problems,
    requirements,
    sdist_problems,
    unmet,
    wheel_problems,
)

METADATA = "Name: p\nSummary: s\nLicense-Expression: MIT\nRequires-Dist: httpx>=0.1\n"
ENTRY_POINTS = "[console_scripts]\n[vllm.endpoint_plugins]\n[vllm.general_plugins]\n"


def test_a_complete_wheel_has_no_problems() -> None:
    assert wheel_problems([*NEEDED_IN_WHEEL, "vllm_messages_plugin-1.0.0.dist-info/METADATA"]) == []


@pytest.mark.parametrize("missing", NEEDED_IN_WHEEL)
def test_every_needed_file_of_the_wheel_is_missed(missing: str) -> None:
    assert wheel_problems(set(NEEDED_IN_WHEEL) - {missing}) == [f"the wheel lacks {missing}"]


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ("tests/conftest.py", "the wheel has tests/conftest.py, which is not part of the package"),
        (
            "vllm_messages_plugin/testing/templates/secret.jinja",
            "vllm_messages_plugin/testing/templates/secret.jinja is not in docs/testing.md",
        ),
    ],
)
def test_files_that_do_not_belong_in_the_wheel_are_named(extra: str, problem: str) -> None:
    assert wheel_problems([*NEEDED_IN_WHEEL, extra]) == [problem]


def test_an_sdist_without_a_needed_file_or_with_a_cache_has_problems() -> None:
    assert sdist_problems(NEEDED_IN_SDIST) == []
    assert sdist_problems(NEEDED_IN_SDIST[1:]) == [f"the sdist lacks {NEEDED_IN_SDIST[0]}"]
    assert sdist_problems([*NEEDED_IN_SDIST, "src/__pycache__/a.pyc"]) == [
        "the sdist has src/__pycache__/a.pyc"
    ]


def test_the_metadata_is_complete_and_does_not_require_vllm() -> None:
    assert metadata_problems(message_from_string(METADATA), ENTRY_POINTS) == []
    with_vllm = message_from_string(METADATA + "Requires-Dist: vllm>=0.27\n")
    assert len(metadata_problems(with_vllm, ENTRY_POINTS)) == 1
    with_extra = message_from_string(METADATA + 'Requires-Dist: vllm>=0.27; extra == "vllm"\n')
    assert [each.name for each in requirements(with_extra)] == ["httpx"]
    assert metadata_problems(message_from_string("Name: p\n"), "") == [
        "no Summary",
        "no License-Expression",
        "no entry points [vllm.endpoint_plugins]",
        "no entry points [vllm.general_plugins]",
        "no entry points [console_scripts]",
    ]


def test_unmet_requirements_are_named() -> None:
    needed = [Requirement("httpx>=0.1"), Requirement("httpx>=999"), Requirement("no-such-package-at-all")]
    assert [problem.split(" is ")[0] for problem in unmet(needed)] == ["httpx>=999", "no-such-package-at-all"]
