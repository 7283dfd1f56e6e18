"""Let the model think first, show its thoughts in grey, and hand them back in the next turn.

    python thinking.py "How many r are in strawberry?"

The model must be one that thinks (Qwen3, DeepSeek-R1, gpt-oss, ...); another one just answers.
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
    """Stream one answer to the terminal."""
    with client.messages.stream(
        model=model,
        max_tokens=4000,  # for thoughts and answer together
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

# Send the whole content back, thoughts and signatures included: the server needs no memory for them.
conversation += [
    {"role": "assistant", "content": answer.content},
    {"role": "user", "content": "Are you sure?"},
]
ask(conversation)
