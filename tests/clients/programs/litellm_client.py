"""LiteLLM as a client: its tasks, which `tasks` does."""

import json
import os
from typing import Any

import litellm
from tasks import do_all

litellm.telemetry = False
litellm.suppress_debug_info = True

PARAMETERS = {"locate": "animal", "weather": "city"}
RESULTS = {"locate": "The heron lives in Oslo.", "weather": "7 degrees in Oslo."}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "birds": {"type": "integer"}},
    "required": ["city", "birds"],
    "additionalProperties": False,
}


def complete(messages: Any, model: str = os.environ["MODEL"], **more: Any) -> Any:
    return litellm.completion(
        model=f"anthropic/{model}",
        api_base=os.environ["ANTHROPIC_BASE_URL"],
        api_key="x",
        messages=[{"role": "user", "content": messages}] if isinstance(messages, str) else messages,
        **{"max_tokens": 2000, "num_retries": 0, "timeout": 120, **more},
    )


def declared(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {PARAMETERS[name]: {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


def plain() -> Any:
    return complete("Say hello.", temperature=0.5).model_dump()


def stream() -> Any:
    chunks = list(complete("Say hello.", stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    return {"pieces": pieces, "whole": whole.model_dump()}


def loop(streamed: bool = False) -> Any:
    tools = [declared(name) for name in PARAMETERS]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    messages: list[Any] = [{"role": "user", "content": "Is the heron cold?"}]
    steps: list[Any] = []
    while not steps or steps[-1].finish_reason == "tool_calls":
        # LiteLLM would not send `thinking` to a model that it does not know.
        allowed = {"thinking": thinking, "allowed_openai_params": ["thinking"]}
        answer = complete(messages, tools=tools, stream=streamed, **allowed)
        whole = litellm.stream_chunk_builder(list(answer), messages=messages) if streamed else answer
        steps.append(whole.choices[0])
        message = steps[-1].message
        messages.append(message.model_dump())
        messages += [result(call) for call in message.tool_calls or ()]
    return [step.model_dump() for step in steps]


def result(call: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call.id, "content": RESULTS[call.function.name]}


def streamed_loop() -> Any:
    return loop(streamed=True)


def object_by_schema() -> Any:
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    return json.loads(complete("Fill in the tool.", response_format=wanted).choices[0].message.content)


def error() -> Any:
    try:
        complete("x", model="no-such-model")
    except litellm.exceptions.APIError as problem:
        return {"class": type(problem).__name__, "status": problem.status_code, "text": str(problem)}
    except litellm.exceptions.NotFoundError as problem:
        return {"class": type(problem).__name__, "status": problem.status_code, "text": str(problem)}


do_all([plain, stream, loop, streamed_loop, object_by_schema, error])
