"""How property tests draw their examples and in which order tests run: fixed in CI, at random elsewhere."""

import os

import hypothesis
import pytest

CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
"""A run that decides what lands: the same examples and the same order every time."""
CI_SEED = 20_261_127


def register_profiles() -> None:
    """Register the hypothesis profiles and load `ci` or `dev`; `--hypothesis-profile` overrides the choice.

    Property tests have no time limits: a busy machine is not a fault of the code.
    """
    untimed = hypothesis.settings(
        deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
    )
    hypothesis.settings.register_profile("dev", untimed)
    hypothesis.settings.register_profile("ci", untimed, derandomize=True)
    hypothesis.settings.register_profile("fuzz", untimed, max_examples=1000)
    hypothesis.settings.load_profile("ci" if CI else "dev")


def fix_order(config: pytest.Config) -> None:
    """In CI, seed the random order of tests, unless the command line does."""
    if CI and config.getoption("randomly_seed") == "default":
        config.option.randomly_seed = CI_SEED
