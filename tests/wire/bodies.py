"""Short ways to write request bodies and to read them."""

import json
from typing import Any

from vllm_messages_plugin.wire.request import MessagesRequest, parse

Json = dict[str, Any]


def body(*messages: Any, **fields: Any) -> Json:
    """A whole body; without messages the user says "Hi". A field given as `...` is left out."""
    told = list(messages) or [{"role": "user", "content": "Hi"}]
    whole = {"model": "m", "max_tokens": 10, "messages": told, **fields}
    return {name: value for name, value in whole.items() if value is not ...}


def user(*blocks: Any) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def read(whole: Any) -> MessagesRequest:
    return parse(json.dumps(whole).encode(), MessagesRequest)
