"""What a translation knows of its request: the limit on all that signatures restore."""

from translate.conversations import SIGNER, assistant, chat_messages, thinking, user
from vllm_messages_plugin.translate.translation_context import MAX_RESTORED_CHARACTERS, LimitedRestore

HALF = "a" * (MAX_RESTORED_CHARACTERS // 2)


def test_signatures_restore_no_more_than_a_request_may() -> None:
    restored: list[str] = []

    def restore(signature: str) -> str:
        restored.append(signature)
        return HALF

    limited = LimitedRestore(restore)
    assert [limited(name) is not None for name in "abcd"] == [True, True, False, False]
    assert restored == ["a", "b"], "above the limit nothing is decompressed any more"


def test_a_foreign_signature_costs_nothing() -> None:
    limited = LimitedRestore({"mine": HALF}.get)
    assert [limited(name) is not None for name in ("mine", *["foreign"] * 9, "mine", "mine")] == [
        *[True, *[False] * 9, True, False]
    ]


def test_one_signature_sent_many_times_makes_a_bounded_prompt() -> None:
    signature = SIGNER.sign("so it goes " * 100_000)
    messages = [each for n in range(40) for each in (user(str(n)), assistant(thinking("", signature), "b"))]
    prompt = chat_messages(*messages, user("c"))
    assert sum(len(message.get("reasoning", "")) for message in prompt) <= MAX_RESTORED_CHARACTERS
    assert [message["content"] for message in prompt if message["role"] == "assistant"] == ["b"] * 40
