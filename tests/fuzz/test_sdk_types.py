"""Requests drawn from the SDK's own types: each is answered, or refused with the name of a field."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.examples import examples
from fuzz.posting import assert_fair, post
from fuzz.sdk_types import objects
from request_table.rendering import TEMPLATES
from wire.sdk_facts import COUNT, CREATE

CREATED = st.sampled_from(CREATE).flatmap(lambda model: objects(model, 0))
COUNTED = st.sampled_from(COUNT).flatmap(lambda model: objects(model, 0))
MODELS = st.sampled_from(["tiny", "claude-sonnet-4-5"])


def named(body: dict[str, Any], model: str) -> dict[str, Any]:
    """A body with a model that the server has, so that it is not refused for that alone."""
    return body | {"model": model}


@settings(max_examples=examples(300))
@given(CREATED, MODELS, st.sampled_from(TEMPLATES))
def test_a_message_request_of_the_sdks_types_is_answered_or_refused_by_name(
    body: dict[str, Any], model: str, template: str
) -> None:
    sent = named(body, model)
    reply = post(sent, template, "/v1/messages")
    assert_fair(reply, sent)
    if sent.get("stream") is True and reply.status_code == 200:
        assert "event: error" not in reply.text


@settings(max_examples=examples(150))
@given(COUNTED, MODELS, st.sampled_from(TEMPLATES))
def test_a_count_request_of_the_sdks_types_is_answered_or_refused_by_name(
    body: dict[str, Any], model: str, template: str
) -> None:
    sent = named(body, model)
    assert_fair(post(sent, template, "/v1/messages/count_tokens"), sent)
