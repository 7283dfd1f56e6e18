"""Images on a real server with a model that sees them: seen and counted, or refused by the block's path."""

import base64
import io
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from packaging.version import Version
from PIL import Image
from transformers import AutoProcessor

from request_table.image_file import bomb, image_file
from support import tiny_vision
from support.page_site import PageSite
from support.server import Server, start_server

pytest.importorskip(
    "transformers.models.idefics3.image_processing_pil_idefics3",
    reason="this transformers resizes images with torchvision alone",
    exc_type=ImportError,
)

Json = dict[str, Any]
FIRST_VERSION = Version("0.31.0")
"""Older vLLM counts no patches for an image of Idefics3 that it does not split, and its engine ends."""
TEXT = {"type": "text", "text": "What is this?"}
TOOL = {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}


@pytest.fixture(scope="module")
def vision_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model that sees images, which may be fetched from 127.0.0.1 and nowhere else."""
    home: Path = tmp_path_factory.mktemp("vision")
    env = {"VLLM_MESSAGES_FETCH_PRIVATE": "1"}
    flags = ("--dtype", "float32", "--allowed-media-domains", "127.0.0.1")
    if Version(version("vllm")) < FIRST_VERSION:
        pytest.skip(f"a small image of Idefics3 ends the engine of vLLM before {FIRST_VERSION}")
    model = tiny_vision.model_directory()
    try:
        AutoProcessor.from_pretrained(model)
    except ValueError as error:
        if "torchvision" not in str(error):
            raise
        pytest.skip(f"this transformers reads no images without torchvision: {error}")
    with start_server(model, *flags, env=env, names=["tiny"], window=8_192, home=home) as running:
        yield running


@pytest.fixture
def client(vision_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=vision_server.url, trust_env=False, timeout=120) as made:
        yield made


def image(data: str, media_type: str = "image/png") -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def at_url(url: str) -> Json:
    return {"type": "image", "source": {"type": "url", "url": url}}


def ask(*content: Json, **fields: Any) -> Json:
    messages = [{"role": "user", "content": list(content)}]
    return {"model": "tiny", "max_tokens": 8, "messages": messages} | fields


def in_tool_result(*content: Json) -> Json:
    """A request whose newest turn is a tool's result with this content."""
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": list(content)}
    turns = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [result]},
    ]
    return {"model": "tiny", "max_tokens": 8, "tools": [TOOL], "messages": turns}


def tokens(client: httpx.Client, body: Json) -> int:
    """The number of tokens of a request's prompt, which its reply and the token count agree upon."""
    reply = client.post("/v1/messages", json=body)
    assert reply.status_code == 200, reply.text
    counted = client.post(
        "/v1/messages/count_tokens", json={key: body[key] for key in body if key != "max_tokens"}
    )
    assert counted.status_code == 200, counted.text
    usage = reply.json()["usage"]
    found: int = sum(usage[f"{kind}input_tokens"] for kind in ("", "cache_read_", "cache_creation_"))
    assert counted.json() == {"input_tokens": found}
    return found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_the_tokens_of_an_image_are_counted(client: httpx.Client, kind: str) -> None:
    picture = image(image_file(kind, (40, 90)))
    one, two = (tokens(client, ask(TEXT, *[picture] * count)) for count in (1, 2))
    assert two - one >= tiny_vision.TOKENS_OF_AN_IMAGE
    assert one - tokens(client, ask(TEXT)) == two - one


def square(color: str) -> Json:
    """A square of this color, too small to be resized."""
    drawn = io.BytesIO()
    Image.new("RGB", (tiny_vision.SIDE, tiny_vision.SIDE), color).save(drawn, "PNG")
    return image(base64.b64encode(drawn.getvalue()).decode())


COLORS = ("red", "green", "blue", "white", "black", "orange", "purple", "gray")


def test_what_an_image_shows_changes_the_reply(client: httpx.Client) -> None:
    """The model's noise is held to letters: otherwise it may write special tokens alone."""

    def seen(color: str) -> str:
        letters = {"structured_outputs": {"regex": "[a-z]{12}"}}
        reply = client.post("/v1/messages", json=ask(TEXT, square(color), temperature=0, **letters))
        assert reply.status_code == 200, reply.text
        text: str = reply.json()["content"][0]["text"]
        return text

    replies = [seen(color) for color in COLORS]
    assert replies == [seen(color) for color in COLORS]
    assert len(set(replies)) > 1


def test_an_image_in_a_tool_result_is_seen(client: httpx.Client) -> None:
    words = {"type": "text", "text": "A picture:"}
    more = tokens(client, in_tool_result(words, image(image_file("PNG")))) - tokens(
        client, in_tool_result(words)
    )
    assert more >= tiny_vision.TOKENS_OF_AN_IMAGE


def test_the_official_sdk_streams_a_reply_about_an_image(vision_server: Server) -> None:
    transport = anthropic.DefaultHttpxClient(trust_env=False)
    asked = ask(TEXT, image(image_file("PNG")), extra_body={"vllm_xargs": {"script": "A square."}})
    with (
        anthropic.Anthropic(base_url=vision_server.url, api_key="none", http_client=transport) as sdk,
        sdk.messages.stream(**asked) as stream,
    ):
        assert stream.get_final_text() == "A square."


NOT_BASE64 = "Could not process image: its data is not base64"
BROKEN = "Could not process image: its data is broken, or no PNG, JPEG, GIF or WebP"
TOO_LARGE = "Could not process image: a side is longer than 8000 pixels"
WHOLE = image_file("PNG", (400, 400))
REFUSED = {
    "not base64": (image("%%%%"), f"base64.data: {NOT_BASE64}"),
    "a data URL as data": (image("data:image/png;base64," + WHOLE), f"base64.data: {NOT_BASE64}"),
    "a data URL that is not base64": (at_url("data:image/png,plain"), f"url: {BROKEN}"),
    "a data URL of broken base64": (
        at_url("data:image/png;base64,%%%"),
        "url: Could not process image: it is not a valid data URL",
    ),
    "broken": (image(WHOLE[: len(WHOLE) // 8 * 4]), f"base64.data: {BROKEN}"),
    "another format": (image(image_file("BMP")), f"base64.data: {BROKEN}"),
    "30000 x 30000 pixels": (image(bomb()), f"base64.data: {TOO_LARGE}"),
}


@pytest.mark.parametrize(("block", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_an_image_that_cannot_be_read_is_refused_by_its_path(
    client: httpx.Client, block: Json, message: str, path: str
) -> None:
    refused = client.post(path, json=ask(TEXT, block))
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"
    assert refused.json()["error"]["message"] == f"messages.0.content.1.image.source.{message}"


@pytest.mark.parametrize(("block", "message"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_in_a_tool_result_too(client: httpx.Client, block: Json, message: str) -> None:
    refused = client.post("/v1/messages", json=in_tool_result(block))
    assert refused.status_code == 400
    where = "messages.2.content.0.content.0.image.source"
    assert refused.json()["error"]["message"].replace("tool_result.", "") == f"{where}.{message}"


@pytest.mark.parametrize("block", [block for block, _ in REFUSED.values()], ids=REFUSED)
def test_in_an_earlier_turn_it_does_not_end_the_session(client: httpx.Client, block: Json) -> None:
    body = ask(TEXT, block)
    body["messages"] += [
        {"role": "assistant", "content": "I can't see it."},
        {"role": "user", "content": "OK"},
    ]
    assert client.post("/v1/messages", json=body).status_code == 200


def test_an_image_is_fetched_from_where_the_operator_allows(client: httpx.Client, pages: PageSite) -> None:
    by_url = tokens(client, ask(TEXT, at_url(f"{pages.url}/heron.png")))
    assert by_url == tokens(client, ask(TEXT, image(image_file("PNG"))))
    assert "/heron.png" in pages.asked


@pytest.mark.parametrize("path", ["/image", "/heron", "/403", "/huge", "/metadata"])
def test_a_url_that_gives_no_image_is_refused_by_its_path(
    client: httpx.Client, pages: PageSite, path: str
) -> None:
    refused = client.post("/v1/messages", json=ask(TEXT, at_url(pages.url + path)))
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("messages.0.content.1.image.source.url: ")


def test_an_image_of_another_host_is_not_fetched(client: httpx.Client, pages: PageSite) -> None:
    port = pages.url.rpartition(":")[2]
    before = len(pages.asked)
    refused = client.post("/v1/messages", json=ask(TEXT, at_url(f"http://localhost:{port}/heron.png")))
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("messages.0.content.1.image.source.url: ")
    assert len(pages.asked) == before
