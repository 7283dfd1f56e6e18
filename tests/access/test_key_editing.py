"""Adding and removing keys leaves the rest of the file as it was."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.access.key_editing import with_key, without_key
from vllm_messages_plugin.access.keys import KeysError, digest_of, parse_keys

START = f'# The team.\n\n[[key]]\nname = "alice"  # in Berlin\nsha256 = "{digest_of("a").hex()}"\n'
BOB = {"name": "bob", "sha256": digest_of("b").hex(), "models": ("qwen*",), "max_concurrent": 2}


def test_a_key_is_added_behind_the_others() -> None:
    changed = with_key(START, {**BOB, "expires": datetime(2027, 1, 1, tzinfo=UTC)})
    assert changed.startswith(START)
    added = parse_keys(changed).keys[1]
    assert (added.name, added.models, added.max_concurrent) == ("bob", ("qwen*",), 2)
    assert added.expires == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_key_is_removed_with_nothing_else() -> None:
    assert without_key(with_key(START, BOB), "bob").rstrip("\n") == START.rstrip("\n")
    assert [key.name for key in parse_keys(without_key(with_key(START, BOB), "alice")).keys] == ["bob"]


def test_impossible_changes_are_refused() -> None:
    with pytest.raises(KeysError, match="another key has the same"):
        with_key(START, {**BOB, "name": "alice"})
    with pytest.raises(KeysError, match="no key named 'eve'"):
        without_key(START, "eve")
    inline = f'key = [{{name = "alice", sha256 = "{digest_of("a").hex()}"}}]\n'
    with pytest.raises(KeysError, match="by hand"):
        without_key(inline, "alice")


@settings(max_examples=50)
@given(st.lists(st.text(alphabet='a"\\\n[]key=#', min_size=1, max_size=9), max_size=3))
def test_any_model_pattern_is_written_so_that_it_reads_back(models: list[str]) -> None:
    patterns = tuple(model.replace("\n", "") for model in models)
    changed = with_key(START, {**BOB, "models": patterns})
    assert parse_keys(changed).keys[1].models == patterns
