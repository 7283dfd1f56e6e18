"""Reading a settings file that may be anything."""

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
from vllm_messages_plugin.cli.claude_config.settings_document import LARGEST_BYTES, parse, read, to_bytes

PATH = Path("settings.json")
STRANGE: list[tuple[bytes, str]] = [
    (b"{broken", "not valid JSON"),
    (b"[]", "does not contain a JSON object"),
    (b'{"a": NaN}', "NaN is not JSON"),
    (b"\xff\xfe{}", "not valid JSON"),
    (b"\xef\xbb\xbf{}", "not valid JSON"),
    (b'{"a": "\\ud800"}', "half of a surrogate pair"),
    (b'{"\\udfff": 1}', "half of a surrogate pair"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
]


@pytest.mark.parametrize(("content", "reason"), STRANGE, ids=[reason for _, reason in STRANGE])
def test_content_that_cannot_be_merged_into_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnusableSettingsError, match=reason) as caught:
        parse(content, PATH)
    assert "nothing was written" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b" \n"])
def test_no_content_is_no_settings(content: bytes | None) -> None:
    assert parse(content, PATH) == {}


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "settings.json")
    with pytest.raises(UnusableSettingsError, match="not a regular file"):
        read(tmp_path / "settings.json")


def test_a_directory_and_a_device_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(UnusableSettingsError, match="not a regular file"):
            read(path)


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match=str(tmp_path)):
            read(tmp_path / "s")


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "settings.json").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(UnusableSettingsError, match="larger than 16 MiB"):
        read(tmp_path / "settings.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_settings_survive_writing_and_reading(settings: dict[str, object]) -> None:
    assert parse(to_bytes(settings), PATH) == settings


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\\\ud80019anul ', max_size=40).map(str.encode))
def test_any_bytes_are_settings_or_refused(content: bytes) -> None:
    try:
        settings = parse(content, PATH)
    except UnusableSettingsError:
        return
    assert json.loads(to_bytes(settings)) == settings
