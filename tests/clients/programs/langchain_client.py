"""LangChain's ChatAnthropic: its tasks, which `tasks` does."""

import os
from typing import Any

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel
from tasks import do_all


class Place(BaseModel):
    """Where birds live."""

    city: str
    birds: int


@tool
def locate(animal: str) -> str:
    """Find an animal."""
    return "The heron lives in Oslo."


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return "7 degrees in Oslo."


TOOLS = {"locate": locate, "weather": weather}


def chat(**more: Any) -> ChatAnthropic:
    settings = {"max_tokens": 2000, "max_retries": 0, "timeout": 120, "api_key": "x"} | more
    return ChatAnthropic(model=os.environ["MODEL"], base_url=os.environ["ANTHROPIC_BASE_URL"], **settings)


def summary(message: Any) -> dict[str, Any]:
    return {
        "text": message.text,
        "calls": [{"name": call["name"], "args": call["args"]} for call in message.tool_calls],
        "blocks": [block["type"] for block in message.content_blocks],
        "usage": message.usage_metadata,
        "stop_reason": message.response_metadata.get("stop_reason"),
    }


def plain() -> Any:
    return summary(chat(temperature=0.5).invoke("Say hello."))


def stream() -> Any:
    chunks = list(chat().stream("Say hello."))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return {"pieces": [chunk.text for chunk in chunks], **summary(whole)}


def loop(streamed: bool = False) -> Any:
    model = chat(thinking={"type": "enabled", "budget_tokens": 1024}).bind_tools(list(TOOLS.values()))
    messages: list[BaseMessage] = [HumanMessage("Is the heron cold?")]
    steps = []
    while not steps or steps[-1].tool_calls:
        steps.append(streamed_answer(model, messages) if streamed else model.invoke(messages))
        results = [TOOLS[call["name"]].invoke(call) for call in steps[-1].tool_calls]
        assert all(isinstance(result, ToolMessage) for result in results)
        messages += [steps[-1], *results]
    return [summary(step) for step in steps]


def streamed_answer(model: Any, messages: list[BaseMessage]) -> Any:
    first, *others = model.stream(messages)
    for chunk in others:
        first += chunk
    return first


def streamed_loop() -> Any:
    return loop(streamed=True)


def object_by_tool() -> Any:
    return chat().with_structured_output(Place).invoke("Fill in the tool.").model_dump()


def object_by_schema() -> Any:
    structured = chat().with_structured_output(Place, method="json_schema")
    return structured.invoke("Fill in the schema.").model_dump()


def counted() -> Any:
    return chat().get_num_tokens_from_messages([HumanMessage("Say hello.")], tools=list(TOOLS.values()))


def error() -> Any:
    try:
        chat().bind(model="no-such-model").invoke("x")
    except anthropic.NotFoundError as problem:
        return {"class": type(problem).__name__, "text": str(problem)}


do_all([plain, stream, loop, streamed_loop, object_by_tool, object_by_schema, counted, error])
