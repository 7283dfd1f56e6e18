"""Citations: passages are numbered in the prompt, and numbers lead back to what stands in the source."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.conversations import (
    PROMPTED,
    VISION,
    Json,
    assistant,
    conversation,
    image,
    result,
    text,
    use,
    user,
)
from vllm_messages_plugin.media.documents import pdf_source
from vllm_messages_plugin.media.pdf_pages import Page
from vllm_messages_plugin.server_tools.web_search import restored_content
from vllm_messages_plugin.translate import passages
from vllm_messages_plugin.translate.citations import INSTRUCTIONS, Citations, conversation_citations
from vllm_messages_plugin.translate.documents import document_parts, search_result_text
from vllm_messages_plugin.wire.blocks import (
    CitationsConfigParam,
    DocumentBlockParam,
    TextBlockParam,
    ToolResultBlockParam,
)
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import MessageParam, MessagesRequest

CITE = {"enabled": True}
GRASS = "The grass is green. The sky is blue. Water is wet."


def document(data: str = GRASS, **fields: Any) -> Json:
    source = {"type": "text", "media_type": "text/plain", "data": data}
    return {"type": "document", "source": source, "citations": CITE, **fields}


def custom(*blocks: Json) -> Json:
    source = {"type": "content", "content": list(blocks)}
    return {"type": "document", "source": source, "title": "Notes", "citations": CITE}


def found(*texts: str, **fields: Any) -> Json:
    content = [text(each) for each in texts]
    return {"type": "search_result", "source": "kb/1", "title": "K", "content": content, **fields}


def prompt(*messages: Json, **fields: Any) -> str:
    return str([message["content"] for message in conversation(*messages, **fields).messages])


def test_the_sentences_of_a_document_are_numbered_in_the_prompt() -> None:
    [message] = conversation(user(document(title="T"), "Why?")).messages
    marked = "<s1>The grass is green. <s2>The sky is blue. <s3>Water is wet."
    assert message["content"] == f'{INSTRUCTIONS}\n\n<document title="T">\n{marked}\n</document>\n\nWhy?'


def test_a_document_without_citations_is_shown_as_it_is() -> None:
    asked = conversation(user({**document(), "citations": {"enabled": False}}))
    assert asked.messages[0]["content"] == f"<document>\n{GRASS}\n</document>"
    assert asked.citations.locate(1, 1) is None


def test_the_citation_of_plain_text_says_where_its_characters_stand() -> None:
    citation = conversation(user(document("A."), document(title="T"))).citations.locate(3, 4)
    assert citation == {
        "type": "char_location",
        "cited_text": "The sky is blue. Water is wet.",
        "document_index": 1,
        "document_title": "T",
        "start_char_index": 20,
        "end_char_index": 50,
    }
    assert GRASS[20:50] == citation["cited_text"]


def test_the_citation_of_custom_content_says_which_blocks_it_cites() -> None:
    asked = conversation(user(custom(text("One. Two."), image(), text("Three."))), traits=VISION)
    assert asked.citations.locate(1, 2) == {
        "type": "content_block_location",
        "cited_text": "One. Two.\n\nThree.",
        "document_index": 0,
        "document_title": "Notes",
        "start_block_index": 0,
        "end_block_index": 3,
    }
    assert "<s1>One. Two." in str(asked.messages)
    assert "<s2>Three." in str(asked.messages)


def test_the_citation_of_a_search_result_says_which_blocks_it_cites() -> None:
    asked = conversation(
        user("Hi"), assistant(use("a")), user(result("a", [found("A", "B", citations=CITE)]))
    )
    assert asked.citations.locate(2, 2) == {
        "type": "search_result_location",
        "cited_text": "B",
        "search_result_index": 0,
        "source": "kb/1",
        "title": "K",
        "start_block_index": 1,
        "end_block_index": 2,
    }
    assert "<s1>A\n\n<s2>B" in asked.messages[-1]["content"]  # type: ignore[operator]


@pytest.mark.parametrize("images", [False, True])
def test_the_citation_of_a_pdf_says_on_which_page_it_stands(images: bool) -> None:
    drawn = b"jpeg" if images else None
    source = pdf_source([Page(1, "One. Two.", drawn), Page(2, "", drawn), Page(3, "Three.", drawn)])
    block = DocumentBlockParam(type="document", source=source, citations=CitationsConfigParam(enabled=True))
    request = MessagesRequest(model="m", max_tokens=1, messages=[MessageParam(role="user", content=[block])])
    citations = conversation_citations(request)
    assert citations.locate(2, 3) == {
        "type": "page_location",
        "cited_text": "Two. Three.",
        "document_index": 0,
        "document_title": None,
        "start_page_number": 1,
        "end_page_number": 4,
    }
    shown = str(document_parts(request.messages[0].content[0], images, citations.sources[0]))  # type: ignore[arg-type]
    assert "<s1>One. <s2>Two." in shown
    assert "<s3>Three." in shown
    assert citations.last == 3


def test_web_results_are_cited_with_their_address() -> None:
    row = {"url": "https://a.example", "title": "A", "encrypted_content": "x", "page_age": None}
    content = restored_content([row], lambda sealed: "It rains. It pours.")
    results = ToolResultBlockParam(type="tool_result", tool_use_id="srvtoolu_1", content=list(content))  # type: ignore[arg-type]
    asked = MessagesRequest(model="m", max_tokens=1, messages=[MessageParam(role="user", content=[results])])
    citations = conversation_citations(asked)
    citation = citations.locate(2, 2)
    assert citation is not None
    assert isinstance(citation.pop("encrypted_index"), str)
    assert citation == {
        "type": "web_search_result_location",
        "cited_text": "It pours.",
        "url": "https://a.example",
        "title": "A",
    }
    shown = search_result_text(content[0], citations.sources[0])  # type: ignore[arg-type]
    assert shown == f"{INSTRUCTIONS}\n\n1. A\nhttps://a.example\n<s1>It rains. <s2>It pours."


@pytest.mark.parametrize("span", [(0, 0), (4, 4), (2, 1), (1, 5), (-1, 1), (1, 4)])
def test_numbers_that_are_no_passages_of_one_source_have_no_citation(span: tuple[int, int]) -> None:
    assert conversation(user(document(), document("A."))).citations.locate(*span) is None or span == (4, 4)


@given(st.integers(-5, 20), st.integers(-5, 20))
def test_what_is_cited_stands_in_the_document(first: int, last: int) -> None:
    citation = Citations().locate(first, last) or CITED.locate(first, last)
    if citation is not None:
        assert (
            citation["cited_text"] == GRASS[citation["start_char_index"] : citation["end_char_index"]] != ""
        )


CITED = conversation(user(document())).citations


# What can't be asked for.


SCHEMA = {"format": {"type": "json_schema", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("blocks", "fields", "start"),
    [
        ([document(), {**document(), "citations": None}], {}, "messages.0.content.1.citations"),
        ([{**document(), "citations": {}}, document()], {}, "messages.0.content.1.citations"),
        ([found("A", citations=CITE), found("B")], {}, "messages.0.content.1.citations"),
        ([document()], {"output_config": SCHEMA}, "output_config.format"),
    ],
    ids=["a document without", "a document with", "a search result without", "a schema"],
)
def test_what_citations_can_not_be_combined_with_is_refused(
    blocks: list[Json], fields: Json, start: str
) -> None:
    with pytest.raises(MessagesError) as refusal:
        conversation(user(*blocks), **fields)
    assert refusal.value.kind == "invalid_request_error"
    assert str(refusal.value.param or refusal.value).startswith(start)


def test_a_schema_without_citations_is_served() -> None:
    assert conversation(user({**document(), "citations": None}), output_config=SCHEMA).schema is not None


# Earlier replies.


@pytest.mark.parametrize(("first", "last", "written"), [(2, 2, "2"), (1, 3, "1-3")])
def test_an_earlier_reply_is_shown_with_the_tags_that_its_model_wrote(
    first: int, last: int, written: str
) -> None:
    blocks = [text("It says"), {**text(" this"), "citations": [CITED.locate(first, last)]}, text(".")]
    asked = conversation(user(document(), "Why?"), assistant(*blocks), user("Sure?"))
    assert asked.messages[1]["content"] == f'It says <cite n="{written}">this</cite>.'


def test_a_cited_pdf_is_found_again_by_its_text() -> None:
    source = pdf_source([Page(1, "One. Two.", None)])
    block = DocumentBlockParam(type="document", source=source, citations=CitationsConfigParam(enabled=True))
    asked = MessagesRequest(model="m", max_tokens=1, messages=[MessageParam(role="user", content=[block])])
    citations = conversation_citations(asked)
    cited = TextBlockParam(type="text", text="b", citations=[citations.locate(2, 2)])
    assert citations.tagged(cited) == '<cite n="2">b</cite>'


@pytest.mark.parametrize(
    "citations",
    [
        None, [], "x", [7], [{}], [{"type": "char_location"}], [{"type": []}],
        [{"type": "char_location", "document_index": 9, "start_char_index": 0, "end_char_index": 19}],
        [{"type": "char_location", "document_index": [], "start_char_index": {}, "end_char_index": 19}],
        [{"type": "web_search_result_location", "url": "u", "title": "t", "encrypted_index": "RW5j"}],
        [{"type": "page_location", "document_index": 0, "cited_text": []}],
    ],
)  # fmt: skip
def test_citations_of_other_servers_are_left_out(citations: Any) -> None:
    asked = conversation(
        user(document()), assistant({**text("It says"), "citations": citations}), user("Sure?")
    )
    assert asked.messages[1]["content"] == "It says"


@pytest.mark.parametrize("traits", [VISION, PROMPTED], ids=["native", "prompted"])
def test_the_next_turn_begins_with_the_prompt_of_the_last(traits: Any) -> None:
    first = [user(document(), "Why?"), assistant(use("a")), user(result("a", [found("A", citations=CITE)]))]
    more = [*first, assistant("So."), user(document("B."), "And?")]
    short, long = (conversation(*messages, traits=traits).messages for messages in (first, more))
    assert long[: len(short)] == short


@pytest.mark.parametrize("documents", [1, 3])
def test_sources_with_too_many_passages_are_refused(monkeypatch: pytest.MonkeyPatch, documents: int) -> None:
    monkeypatch.setattr(passages, "MAX_PASSAGES", 6)
    each = 6 // documents
    messages = user(*[document("Yes. " * each) for _ in range(documents)])
    conversation(messages)
    with pytest.raises(MessagesError, match="sources with citations have more than 6 passages") as refusal:
        conversation(messages, user(document("Yes.")))
    assert refusal.value.status == 400
    with pytest.raises(MessagesError, match="more than 6 passages"):
        conversation(user(document("Yes. " * 1_000)))
