"""What a model reads of the results of code."""

from typing import Any

import pytest

from vllm_messages_plugin.server_tools.code_execution import (
    FAILED,
    is_code_execution,
    restored_text,
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"type": "code_execution_result", "stdout": "a", "stderr": "b", "return_code": 1, "content": []},
            "stdout:\na\nstderr:\nb\nreturn code: 1",
        ),
        ({"stdout": "", "stderr": "", "return_code": 0}, "return code: 0"),
        (
            {"stdout": "a", "return_code": 0, "content": [{"file_id": "file_1"}, 7]},
            "stdout:\na\nfiles:\nfile_1\nreturn code: 0",
        ),
        (
            {"encrypted_stdout": "c2VjcmV0", "stderr": "", "return_code": 0},
            "stdout:\n(not readable here)\nreturn code: 0",
        ),
        ({"error_code": "execution_time_exceeded"}, FAILED["execution_time_exceeded"]),
        ({"error_code": "new_error"}, FAILED["unavailable"]),
        ({}, FAILED["unavailable"]),
        (None, FAILED["unavailable"]),
    ],
)
def test_a_result_is_read_as_text(content: Any, text: str) -> None:
    assert restored_text(content) == text


def test_every_dated_version_is_code_execution() -> None:
    assert is_code_execution("code_execution_20991231")
    assert not is_code_execution("bash_code_execution_20250825")
    assert not is_code_execution(None)
