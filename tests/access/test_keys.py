"""Keys files: what is valid, and which key a client presents."""

from datetime import UTC, datetime

import pytest

from vllm_messages_plugin.access.keys import Caller, KeysError, digest_of, new_key, parse_keys

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIGEST = digest_of("secret").hex()


def text(**fields: str) -> str:
    lines = {"name": '"alice"', "sha256": f'"{DIGEST}"', **fields}
    return "[[key]]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items() if value)


def test_a_key_is_found_by_what_the_client_presents() -> None:
    other = text(name='"bob"', sha256=f'"{digest_of("other").hex()}"')
    ring = parse_keys(text() + other)
    found = ring.find("other", NOW)
    assert found is not None
    assert found.name == "bob"
    assert ring.find("secre", NOW) is None
    assert ring.find("", NOW) is None
    assert ring.find("\udcff", NOW) is None


@pytest.mark.parametrize(
    ("expires", "valid"),
    [
        ("2026-06-01T00:00:01Z", True),
        ("2026-06-01T00:00:00Z", False),
        ("2026-06-01T01:00:00+02:00", False),
        ("2026-06-01T00:00:00", False),
        ("2026-06-02", True),
    ],
)
def test_a_key_is_valid_until_it_expires(expires: str, valid: bool) -> None:
    assert (parse_keys(text(expires=expires)).find("secret", NOW) is not None) is valid


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ("[[key]", "not valid TOML"),
        ("[key]\nname = 'a'", "[[key]]"),
        ("[[keys]]\nname = 'a'", "unknown field 'keys'"),
        (text(sha256='"abc"'), "key.0.sha256"),
        (text(name=""), "key.0.name"),
        (text(name='"a b"'), "key.0.name"),
        (text(name='"unnamed"'), "reserved"),
        (text(max_concurrent="0"), "key.0.max_concurrent"),
        (text(priority="-1"), "key.0.priority"),
        (text(limit="3"), "key.0.limit"),
        (text() + text(sha256=f'"{digest_of("x").hex()}"'), "key.1.name"),
        (text() + text(name='"bob"'), "key.1.sha256"),
    ],
)
def test_an_invalid_file_is_refused_by_the_field(document: str, part: str) -> None:
    with pytest.raises(KeysError) as refused:
        parse_keys(document)
    assert part in str(refused.value)
    assert DIGEST not in str(refused.value)


def test_models_are_patterns_of_names() -> None:
    (key,) = parse_keys(text(models='["qwen*", "tiny"]')).keys
    assert [key.allows(name) for name in ("qwen3", "tiny", "tiny-2", "llama")] == [True, True, False, False]
    (free,) = parse_keys(text()).keys
    assert free.allows("llama")


def test_new_keys_differ() -> None:
    assert new_key() != new_key()
    assert len(new_key()) > 40


def test_a_client_without_a_key_has_a_label() -> None:
    assert (Caller().name, Caller().label) == ("", "unnamed")
