"""Give the model two Python functions, and let the SDK run the loop: call, result, next call, reply.

    python tools.py "Is it warm where the Eiffel Tower stands?"

The model must be one that was trained to call tools (Qwen, Llama 3.1, Mistral, GLM, ...). The plugin
finds the format of its calls from the chat template: `vllm serve` needs no further flags.
"""

import os
import sys

import anthropic
from anthropic import beta_tool

client = anthropic.Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://localhost:8000"),
    api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),
)
model = os.environ.get("MODEL") or next(iter(client.models.list())).id


@beta_tool  # the signature and the docstring become the tool's schema
def find_place(name: str) -> str:
    """Find the city that a building stands in.

    Args:
        name: The building.
    """
    return {"Eiffel Tower": "Paris", "Big Ben": "London"}.get(name, "unknown")


@beta_tool
def get_weather(city: str) -> str:
    """Return the weather in a city.

    Args:
        city: The city's name.
    """
    return f"It is 21 degrees in {city}."


question = " ".join(sys.argv[1:]) or "Is it warm where the Eiffel Tower stands?"
runner = client.beta.messages.tool_runner(
    model=model,
    max_tokens=1000,
    tools=[find_place, get_weather],
    messages=[{"role": "user", "content": question}],
)
for message in runner:  # one message a turn; the tools it asks for are run in between
    for block in message.content:
        if block.type == "tool_use":
            print(f"-> {block.name}({block.input})")
        elif block.type == "text":
            print(block.text)
