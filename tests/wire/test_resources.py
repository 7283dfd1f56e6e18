"""Model descriptions that both Anthropic's and OpenAI's SDK read."""

from typing import Any

import anthropic
import openai
import pytest
from anthropic.pagination import SyncPage

from vllm_messages_plugin.wire.resources import ServedModel, capabilities, model_info, model_page

PLAIN = ServedModel("m", "org/model", 4096, 1_700_000_000)
RICH = ServedModel(
    "m-lora",
    "/models/lora",
    131_072,
    1_700_000_000,
    parent="m",
    images=True,
    thinking=True,
    thinking_off=True,
    effort=True,
)


@pytest.mark.parametrize("model", [PLAIN, RICH], ids=["plain", "rich"])
def test_anthropics_sdk_reads_a_model(model: ServedModel) -> None:
    info = anthropic.types.ModelInfo.model_validate(model_info(model))
    assert (info.id, info.display_name, info.type) == (model.id, model.id, "model")
    assert (info.max_input_tokens, info.max_tokens) == (model.window, model.window)
    assert info.created_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert info.capabilities is not None
    assert info.capabilities.image_input.supported is model.images
    assert info.capabilities.thinking.supported is model.thinking
    assert info.capabilities.effort.supported is model.effort


@pytest.mark.parametrize("model", [PLAIN, RICH], ids=["plain", "rich"])
def test_openais_sdk_reads_a_model(model: ServedModel) -> None:
    card = openai.types.Model.model_validate(model_info(model))
    assert (card.id, card.object, card.created, card.owned_by) == (model.id, "model", model.created, "vllm")


def test_vllms_fields_stay_on_the_card() -> None:
    card = model_info(RICH, permission=[{"id": "p"}])
    assert (card["root"], card["parent"], card["max_model_len"]) == ("/models/lora", "m", 131_072)
    assert card["permission"] == [{"id": "p"}]


@pytest.mark.parametrize(
    ("thinking", "off", "expected"),
    [
        (False, False, {"adaptive": False, "enabled": False, "between_tools": False, "disabled": True}),
        (True, False, {"adaptive": True, "enabled": True, "between_tools": False, "disabled": False}),
        (True, True, {"adaptive": True, "enabled": True, "between_tools": True, "disabled": True}),
    ],
    ids=["never", "always", "switchable"],
)
def test_thinking_types_follow_the_model(thinking: bool, off: bool, expected: dict[str, bool]) -> None:
    found = capabilities(ServedModel("m", "m", 1, 1, thinking=thinking, thinking_off=off))["thinking"]
    assert {kind: each["supported"] for kind, each in found["types"].items()} == expected


def test_both_sdks_read_a_page() -> None:
    page = model_page([model_info(PLAIN), model_info(RICH)], has_more=True)
    sdk_page: Any = SyncPage[anthropic.types.ModelInfo].model_validate(page)
    assert [info.id for info in sdk_page.data] == ["m", "m-lora"]
    assert (sdk_page.first_id, sdk_page.last_id, sdk_page.has_more) == ("m", "m-lora", True)
    assert page["object"] == "list"
    assert [openai.types.Model.model_validate(card).id for card in page["data"]] == ["m", "m-lora"]


def test_an_empty_page_has_no_ends() -> None:
    page = model_page([], has_more=False)
    assert (page["data"], page["first_id"], page["last_id"], page["has_more"]) == ([], None, None, False)


def test_the_tools_that_the_server_runs_are_capabilities() -> None:
    none, search = capabilities(PLAIN)["server_tools"], capabilities(PLAIN, {"web_search"})["server_tools"]
    assert (none["supported"], none["web_search"]["supported"]) == (False, False)
    assert (search["supported"], search["web_search"]["supported"]) == (True, True)
