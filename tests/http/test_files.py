"""The Files API through the SDK, stable and beta, and by hand where the SDK can't go wrong."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anthropic
import httpx
import httpx2
import pytest

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.testing.replies import text_reply

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060"
    "00000005000165a2c0d40000000049454e44ae426082"
)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(text_reply("Hello."), traits=TemplateTraits(images=True))


@pytest.fixture
async def http(engine: FakeEngine, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    app = app_with(engine, storage=store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
async def sdk(engine: FakeEngine, store: Store) -> AsyncIterator[anthropic.AsyncAnthropic]:
    transport = httpx2.ASGITransport(app_with(engine, storage=store))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield anthropic.AsyncAnthropic(api_key="x", base_url="http://test", http_client=client, max_retries=0)


async def test_the_stable_sdk_uploads_lists_reads_and_deletes(sdk: anthropic.AsyncAnthropic) -> None:
    made = [await sdk.files.upload(file=(f"n{n}.txt", b"hello", "text/plain")) for n in range(3)]
    assert (made[0].filename, made[0].mime_type, made[0].size_bytes) == ("n0.txt", "text/plain", 5)
    listed = [file.id async for file in sdk.files.list(limit=2)]
    assert listed == [file.id for file in reversed(made)]
    assert await sdk.files.retrieve_metadata(made[0].id) == made[0]
    assert await (await sdk.files.download(made[0].id)).read() == b"hello"
    assert [file.id async for file in sdk.files.list(ids=[made[1].id, "file_none"])] == [made[1].id]
    deleted = await sdk.files.delete(made[0].id)
    assert (deleted.id, deleted.type) == (made[0].id, "file_deleted")
    with pytest.raises(anthropic.NotFoundError):
        await sdk.files.retrieve_metadata(made[0].id)


async def test_the_beta_sdk_pages_both_ways(sdk: anthropic.AsyncAnthropic) -> None:
    made = [(await sdk.beta.files.upload(file=(f"n{n}", b"x"))).id for n in range(4)][::-1]
    legacy = {"anthropic-beta": "files-api-2025-04-14"}
    first = await sdk.beta.files.with_raw_response.list(limit=2, extra_headers=legacy)
    body = (await first.text()) if callable(getattr(first, "text", None)) else first.content.decode()
    assert '"has_more":true' in body
    assert [file.id async for file in sdk.beta.files.list(limit=2)] == made


async def test_the_older_list_pages_both_ways(http: httpx.AsyncClient) -> None:
    made = []
    for n in range(4):
        reply = await http.post("/v1/files", files={"file": (f"n{n}", b"x")})
        made.insert(0, reply.json()["id"])
    legacy = {"anthropic-beta": "files-api-2025-04-14"}
    url = "/v1/files?limit=2"
    page = (await http.get(url, headers=legacy)).json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == (made[0], made[1], True)
    page = (await http.get(f"{url}&after_id={made[1]}", headers=legacy)).json()
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (made[2:], False)
    page = (await http.get(f"{url}&before_id={made[3]}", headers=legacy)).json()
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (made[1:3], True)


@pytest.mark.parametrize(
    ("range_", "status", "expected"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=10-", 416, None),
    ],
)
async def test_a_range_gives_that_part(
    http: httpx.AsyncClient, range_: str, status: int, expected: bytes | None
) -> None:
    id_ = (await http.post("/v1/files", files={"file": ("d", b"0123456789")})).json()["id"]
    reply = await http.get(f"/v1/files/{id_}/content", headers={"range": range_})
    assert reply.status_code == status
    if expected is None:
        assert reply.json()["error"]["type"] == "invalid_request_error"
    else:
        assert reply.content == expected
        assert ("content-range" in reply.headers) == (status == 206)


@pytest.mark.parametrize(
    ("name", "data", "declared", "kept", "kind"),
    [
        ("../../etc/passwd", b"x", None, "passwd", "text/plain"),
        ("C:\\tmp\\a\x00b\n.png", PNG, "text/html", "ab.png", "image/png"),
        ("fake.png", b"no picture", "image/png", "fake.png", "text/plain"),
        ("p.bin", b"%PDF-1.7", None, "p.bin", "application/pdf"),
        ("…/..", b"\0\1", None, "file", "application/octet-stream"),
        ("n.json", b"{}", "application/json; charset=utf-8", "n.json", "application/json"),
        ("ü" * 300 + ".txt", b"x", None, "ü" * 251 + ".txt", "text/plain"),
    ],
)
async def test_names_are_made_safe_and_types_are_looked_at(
    http: httpx.AsyncClient, name: str, data: bytes, declared: str | None, kept: str, kind: str
) -> None:
    boundary, quoted = b"----b", name.replace("\\", "\\\\").encode()
    head = b'content-disposition: form-data; name="file"; filename="' + quoted + b'"\r\n'
    if declared is not None:
        head += b"content-type: " + declared.encode() + b"\r\n"
    body = b"--" + boundary + b"\r\n" + head + b"\r\n" + data + b"\r\n--" + boundary + b"--\r\n"
    headers = {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}
    reply = await http.post("/v1/files", content=body, headers=headers)
    assert reply.status_code == 200, reply.text
    assert (reply.json()["filename"], reply.json()["mime_type"]) == (kept, kind)
    download = await http.get(f"/v1/files/{reply.json()['id']}/content")
    assert download.content == data


@pytest.mark.parametrize(
    ("content", "content_type", "message"),
    [
        (b"{}", "application/json", "multipart/form-data"),
        (b"--b\r\n", "multipart/form-data; boundary=b", "ends too early"),
        (b"--c\r\n", "multipart/form-data; boundary=b", "not valid multipart"),
        (b'--b\r\ncontent-disposition: form-data; name="x"\r\n\r\ny\r\n--b--\r\n',
         "multipart/form-data; boundary=b", "file: The request body must"),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_upload_is_refused(
    http: httpx.AsyncClient, content: bytes, content_type: str, message: str
) -> None:
    reply = await http.post("/v1/files", content=content, headers={"content-type": content_type})
    assert reply.status_code == 400
    assert message in reply.json()["error"]["message"]
    assert (await http.get("/v1/files")).json() == {"data": [], "next_page": None}


async def test_a_file_above_the_limit_is_refused_and_leaves_nothing(
    options: StoreOptions, engine: FakeEngine
) -> None:
    store = open_store(StoreOptions(options.database, options.directory, max_file_mb=1))
    transport = httpx.ASGITransport(app_with(engine, storage=store))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        reply = await http.post("/v1/files", files={"file": ("a", b"x" * (3 << 20))})
        assert (reply.status_code, reply.json()["error"]["type"]) == (413, "request_too_large")
    contents = options.directory / "contents"
    assert not contents.exists() or list(contents.iterdir()) == []
    await store.close()


async def test_expiry_is_checked_and_kept(http: httpx.AsyncClient) -> None:
    form = {"expires_in_seconds": "3600"}
    reply = await http.post("/v1/files", files={"file": ("a", b"x")}, data=form)
    assert reply.json()["expires_at"] > reply.json()["created_at"]
    bad = await http.post("/v1/files", files={"file": ("a", b"x")}, data={"expires_in_seconds": "10"})
    assert bad.status_code == 400
    assert bad.json()["error"]["message"].startswith("expires_in_seconds: ")


async def test_a_message_reads_the_files_that_it_names(
    sdk: anthropic.AsyncAnthropic, engine: FakeEngine
) -> None:
    picture = await sdk.files.upload(file=("a.png", PNG))
    text = await sdk.files.upload(file=("a.json", b'{"secret": 42}', "application/json"))
    await sdk.messages.create(
        model="fake",
        max_tokens=10,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "file", "file_id": picture.id}},
                    {"type": "document", "source": {"type": "file", "file_id": text.id}},
                ],
            }
        ],
    )
    content = str(engine.requests[0].conversation.messages)
    assert "secret" in content
    assert "data:image/png;base64," in content


async def test_a_message_is_refused_only_over_missing_files_of_its_newest_turn(
    sdk: anthropic.AsyncAnthropic, engine: FakeEngine
) -> None:
    missing = {"type": "document", "source": {"type": "file", "file_id": "file_none"}}
    with pytest.raises(anthropic.NotFoundError, match=r"messages.0.content.0.document.source.file_id: File"):
        await sdk.messages.create(
            model="fake", max_tokens=10, messages=[{"role": "user", "content": [missing]}]
        )
    history = [{"role": "user", "content": [missing]}, {"role": "assistant", "content": "Hm."}]
    await sdk.messages.create(
        model="fake", max_tokens=10, messages=[*history, {"role": "user", "content": "And?"}]
    )
    assert "could not be read" in str(engine.requests[0].conversation.messages)


async def test_a_missing_file_of_the_newest_turn_is_named_though_an_earlier_turn_has_it_too(
    sdk: anthropic.AsyncAnthropic,
) -> None:
    missing = {"type": "document", "source": {"type": "file", "file_id": "file_none"}}
    turns = [{"role": "user", "content": [missing]}, {"role": "assistant", "content": "Hm."}]
    with pytest.raises(anthropic.NotFoundError, match=r"messages.2.content.0.document.source.file_id: File"):
        await sdk.messages.create(
            model="fake", max_tokens=10, messages=[*turns, {"role": "user", "content": [missing]}]
        )


async def test_a_model_that_sees_no_images_is_asked_for_no_image_file(
    sdk: anthropic.AsyncAnthropic, engine: FakeEngine
) -> None:
    engine.traits = replace(engine.traits, images=False)
    picture = {"type": "image", "source": {"type": "file", "file_id": "file_none"}}
    with pytest.raises(anthropic.BadRequestError, match=r"messages.0.content.0: Could not process image"):
        await sdk.messages.create(
            model="fake", max_tokens=10, messages=[{"role": "user", "content": [picture]}]
        )


async def test_one_key_sees_nothing_of_another(engine: FakeEngine, store: Store) -> None:
    app = app_with(engine, keys=["one", "two"], storage=store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        one, two = {"x-api-key": "one"}, {"authorization": "Bearer two"}
        id_ = (await http.post("/v1/files", files={"file": ("a", b"x")}, headers=one)).json()["id"]
        assert (await http.get(f"/v1/files/{id_}/content", headers=one)).content == b"x"
        for path in (f"/v1/files/{id_}", f"/v1/files/{id_}/content"):
            assert (await http.get(path, headers=two)).status_code == 404
        assert (await http.delete(f"/v1/files/{id_}", headers=two)).status_code == 404
        assert (await http.get("/v1/files", headers=two)).json()["data"] == []


async def test_a_server_without_a_store_says_so(engine: FakeEngine) -> None:
    transport = httpx.ASGITransport(app_with(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        reply = await http.get("/v1/files")
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == "The Files API is not available on this server"


async def test_a_database_that_is_gone_harms_only_the_store(engine: FakeEngine, tmp_path: Path) -> None:
    store = open_store(StoreOptions("postgresql://nobody@127.0.0.1:1/none", tmp_path))
    transport = httpx.ASGITransport(app_with(engine, storage=store))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        reply = await http.post("/v1/files", files={"file": ("a", b"x")})
        assert (reply.status_code, reply.json()["error"]["type"]) == (503, "overloaded_error")
        assert "retry-after" in reply.headers
        body = {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        assert (await http.post("/v1/messages", json=body)).status_code == 200
    await store.close()


async def test_an_upload_that_arrives_too_slowly_is_refused(engine: FakeEngine, store: Store) -> None:
    app = app_with(engine, storage=store, slow_request_seconds=0.05)

    async def form() -> AsyncIterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhello'
        await asyncio.sleep(5)
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        reply = await client.post("/v1/files", content=form(), headers=headers)
        assert (reply.status_code, reply.json()["error"]["type"]) == (408, "timeout_error")
        assert (await client.get("/v1/files")).json()["data"] == []
