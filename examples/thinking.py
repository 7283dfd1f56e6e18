"""Let the model think first, show its thinking in grey, and send it back in the next turn.

    python thinking.py "How many r are in strawberry?"

The model must be a thinking one (Qwen3, DeepSeek-R1, gpt-oss, ...); others reply without thinking.
"""

import os
import sys
from typing import Any

import anthropic

GREY, PLAIN = "\033[90m", "\033[0m"

client = anthropic.Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://localhost:8000"),
    api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),
)
model = os.environ.get("MODEL") or next(iter(client.models.list())).id


def ask(messages: list[dict[str, Any]]) -> anthropic.types.Message:
    """Stream one reply to the terminal."""
    with client.messages.stream(
        model=model,
        max_tokens=4000,  # for thinking and text together
        thinking={"type": "adaptive"},  # or {"type": "enabled", "budget_tokens": 2000}
        messages=messages,
    ) as stream:
        for event in stream:
            if event.type == "thinking":
                print(f"{GREY}{event.thinking}{PLAIN}", end="", flush=True)
            elif event.type == "text":
                print(event.text, end="", flush=True)
        print()
        return stream.get_final_message()


question = " ".join(sys.argv[1:]) or "How many r are in strawberry?"
conversation: list[dict[str, Any]] = [{"role": "user", "content": question}]
answer = ask(conversation)

# Send the whole content back, with thinking and signatures: the server stores nothing.
conversation += [
    {"role": "assistant", "content": answer.content},
    {"role": "user", "content": "Are you sure?"},
]
ask(conversation)
