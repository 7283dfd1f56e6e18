"""Variables as each shell sets them; read back by the shells that are here."""

import shutil
import subprocess

import pytest

from vllm_messages_plugin.cli.claude_config.shells import Shell, exports, quoted

NASTY = ["plain", "it's", 'a "b" $HOME `id` \\ c', "two words", "", "é", "\\'", "%PATH%"]

LINES: list[tuple[Shell, str, str]] = [
    (Shell.BASH, "it's", """export A='it'"'"'s'"""),
    (Shell.ZSH, "a b", "export A='a b'"),
    (Shell.FISH, "it's \\", "set -gx A 'it\\'s \\\\'"),
    (Shell.POWERSHELL, "it's $x", "$env:A = 'it''s $x'"),
]


@pytest.mark.parametrize(("shell", "value", "line"), LINES)
def test_each_shell_has_its_own_words(shell: Shell, value: str, line: str) -> None:
    assert exports({"A": value}, shell) == [line]
    assert line.endswith(quoted(value, shell))


PROGRAMS = {Shell.BASH: "bash", Shell.ZSH: "zsh", Shell.FISH: "fish", Shell.POWERSHELL: "pwsh"}


@pytest.mark.parametrize("shell", list(Shell))
def test_the_shell_reads_back_what_was_meant(shell: Shell) -> None:
    program = shutil.which(PROGRAMS[shell])
    if program is None:
        pytest.skip(f"there is no {PROGRAMS[shell]} here")
    variables = {f"V{index}": value for index, value in enumerate(NASTY)}
    lines = exports(variables, shell)
    show = [f'printf "%s\\n" "${name}"' for name in variables]
    if shell is Shell.POWERSHELL:
        show = [f"Write-Output $env:{name}" for name in variables]
    done = subprocess.run(
        [program, "-c", "\n".join([*lines, *show])], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == NASTY
