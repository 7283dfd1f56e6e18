"""Asks one question through the official SDK and prints the reply as it arrives.

python -m vllm_messages_plugin.demo.ask http://localhost:8000 my-model "What is the capital of France?"
"""

import sys

from anthropic import Anthropic

LONGEST_ANSWER = 64


def ask(url: str, model: str, question: str) -> None:
    """Print the reply to stdout as it arrives."""
    client = Anthropic(base_url=url, api_key="none-needed")
    with client.messages.stream(
        model=model,
        max_tokens=LONGEST_ANSWER,
        extra_body={"temperature": 0},
        messages=[{"role": "user", "content": question}],
    ) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)


if __name__ == "__main__":
    ask(*sys.argv[1:4])
