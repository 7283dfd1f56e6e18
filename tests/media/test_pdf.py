"""PDFs: their pages' text and images, and the words in which broken and hostile ones are refused."""

import asyncio
import base64
import io
import json
import queue
import subprocess
import sys
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from request_table import pdf_file
from vllm_messages_plugin.media import pdf, pdf_pages
from vllm_messages_plugin.media.allowance import MediaAllowance
from vllm_messages_plugin.media.pdf import PageCache, PdfReader, pdf_text
from vllm_messages_plugin.media.pdf_pages import Page, UnreadableError, read_pages

# PDFs, written by hand.


def written(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, the first of them its catalog."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + b"trailer<</Size %d/Root 1 0 R%s>>\n" % (
        size,
        trailer,
    )
    return bytes(out + b"startxref\n%d\n%%%%EOF" % out.rindex(b"xref\n0"))


def stream(data: bytes, entries: bytes = b"") -> bytes:
    packed = zlib.compress(data, 9)
    return b"<</Length %d/Filter/FlateDecode%s>>stream\n%s\nendstream" % (len(packed), entries, packed)


def shows(text: bytes) -> bytes:
    return (
        b"BT /F 12 Tf 14 TL 72 700 Td "
        + b" T* ".join(b"(%s) Tj" % line for line in text.split(b"\n"))
        + b" ET"
    )


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


def pdf_of(
    *contents: bytes,
    page: bytes = b"",
    resources: bytes = b"",
    extra: Sequence[bytes] = (),
    trailer: bytes = b"",
) -> bytes:
    """A PDF with one page for each content stream; `extra` are objects from number 4 on."""
    first = 4 + len(extra)
    kids = b" ".join(b"%d 0 R" % (first + 2 * index) for index in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d/MediaBox[0 0 612 792]/Resources<</Font<</F 3 0 R>>%s>>>>"
        % (kids, len(contents), resources),
        FONT,
        *extra,
    ]
    for index, content in enumerate(contents):
        objects += [
            b"<</Type/Page/Parent 2 0 R/Contents %d 0 R%s>>" % (first + 2 * index + 1, page),
            stream(content),
        ]
    return written(objects, trailer)


HELLO = pdf_of(shows(b"Hello there\nsecond line"), shows(b"The end"))


async def pages_of(data: bytes, images: bool = False, reader: PdfReader | None = None) -> list[Page]:
    """The pages of a PDF, by way of a child process."""
    with ThreadPoolExecutor(1) as executor:
        return list(await (reader or PdfReader(executor)).pages(data, images, MediaAllowance()))


async def refusal(data: bytes, images: bool = False, reader: PdfReader | None = None) -> str:
    with pytest.raises(UnreadableError) as refused:
        await pages_of(data, images, reader)
    return str(refused.value)


def texts(data: bytes) -> list[str]:
    return [page.text for page in read_pages(data, images=False)]


# Text.


async def test_pages_come_in_order_with_their_text() -> None:
    assert await pages_of(HELLO) == [
        Page(1, "Hello there\nsecond line", None),
        Page(2, "The end", None),
    ]


def test_each_page_stands_under_its_heading() -> None:
    pages = [Page(1, "one\n", None), Page(2, " \n", None), Page(3, "three", b"jpeg")]
    text = "[page 1]\none\n\n[page 2]\n(this page has no text layer)\n\n[page 3]\nthree"
    assert pdf_text(pages) == text
    assert pdf_text([]) == ""


def test_the_text_is_unicode() -> None:
    wide = "".join(
        f"<{code:02x}> <{''.join(chr_.encode('utf-16-be').hex())}>\n" for code, chr_ in enumerate("a中😀é", 1)
    )
    cmap = (
        "/CIDInit/ProcSet findresource begin 12 dict begin begincmap /CMapName/X def\n"
        f"1 begincodespacerange <00> <ff> endcodespacerange 4 beginbfchar\n{wide}endbfchar endcmap end end"
    )
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 4 0 R>>"
    data = pdf_of(
        b"BT /G 12 Tf 72 700 Td <01020304> Tj ET",
        page=b"/Resources<</Font<</G 5 0 R>>>>",
        extra=[stream(cmap.encode()), font],
    )
    assert texts(data) == ["a中😀é"]


def test_accents_of_a_simple_font_are_kept() -> None:
    assert texts(pdf_of(shows("Käse für 5 €".encode("cp1252")))) == ["Käse für 5 €"]


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_a_rotated_page_keeps_its_text(angle: int) -> None:
    assert texts(pdf_of(shows(b"Hello"), page=b"/Rotate %d" % angle)) == ["Hello"]


def test_a_hyphen_at_a_line_end_stays() -> None:
    assert texts(pdf_of(shows(b"a long encod-\ning of it"))) == ["a long encod-\ning of it"]


def test_a_page_without_text_is_empty() -> None:
    assert texts(pdf_of(b"0 0 100 100 re f")) == [""]


def test_a_page_of_too_much_text_is_cut_with_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_pages, "MAX_PAGE_CHARS", 5)
    assert texts(HELLO)[0] == "Hello\n(the rest of this page is left out: 19 characters)"


def test_what_was_filled_into_a_form_is_text() -> None:
    field = b"<</Subtype/Widget/FT/Tx/T(n)/V(Ada)/F 4/Rect[100 600 300 620]/DA(/F 12 Tf)/AP<</N 5 0 R>>>>"
    look = stream(
        b"BT /F 12 Tf 2 5 Td (Ada) Tj ET",
        b"/Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</F 3 0 R>>>>",
    )
    data = pdf_of(shows(b"Name:"), page=b"/Annots[4 0 R]", extra=[field, look])
    data = data.replace(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]>>>>"
    )  # the table of places is now off, which readers repair
    assert texts(data) == ["Name:\nAda"]


# Images.


@pytest.mark.parametrize(
    ("box", "size"),
    [(b"0 0 612 792", (1212, 1568)), (b"0 0 792 612", (1568, 1212)), (b"0 0 10 10", (1568, 1568)),
     (b"0 0 1000000000 1000000000", (1568, 1568)), (b"0 0 0 0", (1212, 1568))],
)  # fmt: skip
async def test_a_page_image_has_a_bounded_longest_side(box: bytes, size: tuple[int, int]) -> None:
    [page] = await pages_of(pdf_of(shows(b"Hi"), page=b"/MediaBox[%s]" % box), images=True)
    assert page.image is not None
    with Image.open(io.BytesIO(page.image)) as drawn:
        assert drawn.format == "JPEG"
        assert max(drawn.size) <= pdf_pages.MAX_SIDE
        assert all(abs(side - asked) <= 1 for side, asked in zip(drawn.size, size, strict=True))


def test_a_page_image_shows_the_page() -> None:
    [page] = read_pages(pdf_of(b"1 0 0 rg 0 0 306 792 re f"), images=True)
    with Image.open(io.BytesIO(page.image or b"")) as drawn:
        assert drawn.getpixel((100, 700))[0] > 240
        assert drawn.getpixel((100, 700))[1] < 20
        assert drawn.getpixel((1100, 700)) == (255, 255, 255)


def test_a_thread_of_a_page_has_no_image() -> None:
    [page] = read_pages(pdf_of(shows(b"Hi"), page=b"/MediaBox[0 0 1 1000]"), images=True)
    assert page.image is None


def test_page_images_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_pages, "MAX_IMAGE_BYTES", 10_000)
    with pytest.raises(UnreadableError, match="too large"):
        read_pages(HELLO, images=True)


def test_the_same_document_gives_the_same_pages() -> None:
    assert read_pages(HELLO, images=True) == read_pages(HELLO, images=True)


# Refusals.


@pytest.mark.parametrize(
    "data", [b"", b"nonsense", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"%PDF-1.7\n" + b"\0" * 5000, HELLO[:300]]
)
async def test_what_is_no_pdf_is_refused(data: bytes) -> None:
    assert await refusal(data) == "it is broken or is not a PDF"


async def test_a_protected_pdf_is_refused() -> None:
    lock = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>/ID[<00><00>]" % (b"11" * 32, b"22" * 32)
    data = pdf_of(shows(b"Hello"), trailer=lock)
    assert await refusal(data) == "it is protected by a password"


async def test_an_unknown_protection_is_refused() -> None:
    data = pdf_of(shows(b"Hello"), trailer=b"/Encrypt<</Filter/Other/V 9>>/ID[<00><00>]")
    assert await refusal(data) == "it is protected in a way this server can't read"


@pytest.mark.parametrize("count", [pdf_pages.MAX_PAGES, pdf_pages.MAX_PAGES + 1])
async def test_only_so_many_pages_may_be_provided(count: int) -> None:
    data = pdf_of(*[b""] * count)
    if count == pdf_pages.MAX_PAGES:
        assert len(await pages_of(data)) == count
    else:
        assert await refusal(data) == "A maximum of 600 PDF pages may be provided."


async def test_a_pdf_without_pages_is_refused() -> None:
    assert (await refusal(pdf_of())).startswith("it ")


async def test_one_broken_page_does_not_spoil_the_others() -> None:
    data = pdf_of(shows(b"one"), shows(b"two")).replace(b"/Kids[4 0 R 6 0 R]", b"/Kids[4 0 R 99 0 R]")
    assert pdf_text(await pages_of(data)) == ("[page 1]\none\n\n[page 2]\n(this page could not be read)")


# Hostile ones.


def nested_forms(depth: int, times: int) -> bytes:
    """A page that shows a form, which shows a form so many times, and so on: work grows as a power."""
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 600 700]/Resources<</XObject<</N %d 0 R>>>>"
    forms = [stream(b"/N Do " * times, entries % (5 + level)) for level in range(depth)]
    return pdf_of(
        b"/N Do", page=b"/Resources<</XObject<</N 4 0 R>>>>", extra=[*forms, stream(b"n", entries % 1)]
    )


async def test_endless_work_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_SECONDS", 1)
    assert await refusal(nested_forms(12, 8)) == pdf.TOO_SLOW


async def test_a_cancelled_read_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    children = queue.Queue[subprocess.Popen[bytes]]()

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *command: Any, **options: Any) -> None:
            super().__init__(*command, **options)
            children.put(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    reading = asyncio.create_task(pages_of(nested_forms(12, 8)))
    child = await asyncio.to_thread(children.get)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert child.returncode is not None


async def test_a_read_that_is_cancelled_before_its_process_starts_starts_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = pdf._Child()
    child.kill()
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(UnreadableError):
        await asyncio.to_thread(child.read, b"%PDF-", False, 1)


async def test_endless_memory_is_refused() -> None:
    text = b"BT /F 1 Tf 72 700 Td " + b"(Hello hello hello) Tj " * 1_000_000 + b"ET"
    assert await refusal(pdf_of(text)) == pdf.TOO_HARD


async def test_a_reader_that_crashes_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert await refusal(HELLO + b"\n") == pdf.TOO_HARD


@given(st.one_of(st.binary(), st.binary().map(b"%PDF-1.7\n".__add__)))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_pages(data, images=True)


@given(st.lists(st.tuples(st.integers(0, len(HELLO) - 1), st.integers(0, 255)), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_pdf_is_read_or_refused(damage: list[tuple[int, int]]) -> None:
    data = bytearray(HELLO)
    for place, value in damage:
        data[place] = value
    try:
        pages = read_pages(bytes(data), images=False)
    except UnreadableError:
        return
    assert all("\r" not in page.text and "\0" not in page.text for page in pages)


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=15, deadline=None)
def test_reading_a_pdf_raises_nothing_but_refusals(tail: bytes, headed: bool) -> None:
    with pytest.raises(UnreadableError):
        asyncio.run(pages_of(b"%PDF-1.7\n" * headed + tail, images=True))


# The cache.


async def test_a_document_read_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as executor:
        reader = PdfReader(executor)
        pages = await reader.pages(HELLO, False, MediaAllowance())
        monkeypatch.setattr(sys, "executable", "/bin/false")
        assert await reader.pages(HELLO, False, MediaAllowance()) == pages
        assert await refusal(HELLO, True, reader) == pdf.TOO_HARD


async def test_a_document_that_can_not_be_read_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as executor:
        reader = PdfReader(executor)
        broken = HELLO[:300]
        first = await refusal(broken, False, reader)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        assert await refusal(broken, False, reader) == first != pdf.TOO_HARD


async def test_the_pdfs_of_a_request_have_a_time_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as executor:
        reader, allowance = PdfReader(executor), MediaAllowance(pdf_seconds=0.5)
        with pytest.raises(UnreadableError, match="takes more than"):
            await reader.pages(nested_forms(12, 8), False, allowance)
        with pytest.raises(UnreadableError, match="the PDFs of the request take more than 120 seconds"):
            await reader.pages(HELLO, False, allowance)
        assert await reader.pages(HELLO, False, MediaAllowance()), "another request has time for it"


def test_the_cache_is_bounded() -> None:
    memory = PageCache(3000)
    for number in range(4):
        memory.put((b"%d" % number, False), (Page(1, "", b"0" * 900),))
        memory.get((b"0", False))
    assert [memory.get((b"%d" % number, False)) is not None for number in range(4)] == [
        True,
        False,
        True,
        True,
    ]
    memory.put((b"large", False), (Page(1, "", b"0" * 4000),))
    assert memory.get((b"large", False)) is None


async def test_pages_are_decoded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of 600 drawn pages is hundreds of MB, which no single call may parse."""
    sizes: list[int] = []
    loads = json.loads

    def noted(line: bytes) -> Any:
        sizes.append(len(line))
        return loads(line)

    monkeypatch.setattr(json, "loads", noted)
    pages = await pages_of(base64.b64decode(pdf_file.pdf(*["Hello"] * 5)), images=True)
    assert [page.number for page in pages] == [1, 2, 3, 4, 5]
    assert all(page.image for page in pages)
    assert len(sizes) == 5
