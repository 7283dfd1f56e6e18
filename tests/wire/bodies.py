"""Short ways to write and parse request bodies."""

import json
from typing import Any

from vllm_messages_plugin.wire.request import MessagesRequest, parse

Json = dict[str, Any]


def body(*messages: Any, **fields: Any) -> Json:
    """Make a body. Without messages the user's text is "Hi". A field given as `...` is left out."""
    conversation = list(messages) or [{"role": "user", "content": "Hi"}]
    complete = {"model": "m", "max_tokens": 10, "messages": conversation, **fields}
    return {name: value for name, value in complete.items() if value is not ...}


def user(*blocks: Any) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def read(request_body: Any) -> MessagesRequest:
    return parse(json.dumps(request_body).encode(), MessagesRequest)
