"""Get a Python object from the model: it can only generate what fits the class.

    pip install anthropic pydantic
    python structured_output.py "Two large oat-milk coffees, please."

Any model will do: the server allows only tokens that fit the schema.
"""

import os
import sys
from typing import Literal

import anthropic
from pydantic import BaseModel

client = anthropic.Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://localhost:8000"),
    api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),
)
model = os.environ.get("MODEL") or next(iter(client.models.list())).id


class Order(BaseModel):
    """What somebody wants to drink."""

    drink: Literal["coffee", "tea", "cocoa"]
    size: Literal["small", "large"]
    cups: Literal[1, 2, 3, 4]


order_text = " ".join(sys.argv[1:]) or "Two large oat-milk coffees, please."
message = client.messages.parse(
    model=model,
    max_tokens=200,
    output_format=Order,
    messages=[{"role": "user", "content": f"Note this order: {order_text}"}],
)
order = message.parsed_output
if order is None:  # the answer was cut by max_tokens
    sys.exit(f"no order: {message.stop_reason}")
print(f"{order.cups} x {order.size} {order.drink}")
