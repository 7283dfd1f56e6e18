"""The bill of materials of a wheel: what it requires, in which versions and under which licences.

The wheel is installed with its requirements into an environment of its own, and `cyclonedx-py` describes what
is there. Extras are left out, as `pip install vllm-messages-plugin` leaves them out.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PERMISSIVE = re.compile(
    r"(License :: OSI Approved :: )?(The )?"
    r"(Apache[- ](Software )?(License )?(Version )?(2(\.0)?)?|Apache Software License"
    r"|MIT( License)?|MIT-(0|CMU)"
    r"|(\d-Clause )?BSD([- ](License|\d[- ]Clause))*( \(.*\))?|HPND|ISC( License)?|PSF-2\.0|CNRI-Python)",
    re.IGNORECASE,
)
"""Licences that ask for their text and no more."""
UNNAMED = {"pypdfium2": ["BSD-3-Clause", "Apache-2.0"]}
"""Licences that a component's files have and that its metadata does not name."""
WEAK_COPYLEFT = {
    "certifi": re.compile(
        r"MPL-2\.0|License :: OSI Approved :: Mozilla Public License 2\.0 \(MPL 2\.0\)", re.IGNORECASE
    )
}
"""Requirements under a licence that covers changes of their own files only, and how it is named."""


def write_materials(wheel: Path, tools: Path, target: Path) -> Mapping[str, list[str]]:
    """Write the bill of materials of a wheel as CycloneDX JSON.

    Args:
        wheel: The wheel.
        tools: The Python that has `cyclonedx-bom`.
        target: The file to write.

    Returns:
        The licences of each component.
    """
    with tempfile.TemporaryDirectory(prefix="vllm-messages-materials-") as folder:
        home = Path(folder) / "venv"
        python = home / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        subprocess.run([*pip, "install", "-qq", wheel], check=True)
        program = [
            tools.with_name("cyclonedx-py"),
            "environment",
            "--output-reproducible",
            "-o",
            target,
            python,
        ]
        subprocess.run(program, check=True, stderr=subprocess.DEVNULL)
    return licences(json.loads(target.read_text(encoding="utf-8")))


def licences(materials: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the licences of each component of a CycloneDX document; none where it names none."""
    return {
        component["name"]: [
            entry.get("expression") or entry["license"].get("id") or entry["license"].get("name", "")
            for entry in component.get("licenses", ())
        ]
        or UNNAMED.get(component["name"], [])
        for component in materials["components"]
    }


def licence_problems(found: Mapping[str, list[str]]) -> list[str]:
    """Return the components whose licence is missing, or is none that this project may depend on."""
    return [
        f"{name}: {', '.join(named) or 'no licence'}"
        for name, named in sorted(found.items())
        if not (named and all(_is_permissive(each) or _is_accepted(name, each) for each in named))
    ]


def _is_permissive(expression: str) -> bool:
    """Whether an SPDX expression or a classifier leaves a permissive choice: all of the terms of one."""
    choices = expression.strip("()").split(" OR ")
    return any(
        all(PERMISSIVE.fullmatch(term.strip("() ")) for term in each.split(" AND ")) for each in choices
    )


def _is_accepted(name: str, licence: str) -> bool:
    """Whether a component is a known one under a licence that covers changes of its own files only."""
    return name in WEAK_COPYLEFT and WEAK_COPYLEFT[name].fullmatch(licence) is not None
