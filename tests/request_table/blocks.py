"""Rows for every content block, in every place where it may stand."""

from request_table.image_file import image_file
from request_table.pdf_file import pdf
from request_table.row import (
    CALL,
    EPHEMERAL,
    WEATHER,
    Json,
    Refused,
    Row,
    ask,
    assistant,
    base64,
    body,
    document,
    found,
    image,
    loop,
    result,
    text,
    thinking,
    tool,
    use,
    user,
)

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
JPEG = image_file("JPEG")
PICTURE = image(base64(PNG, "image/png"))
AT_URL = image({"type": "url", "url": "http://127.0.0.1:9/cat.png"})  # fetched by no server that is on guard
AT_DATA = image({"type": "url", "url": f"data:image/png;base64,{PNG}"})
IN_FILE = image({"type": "file", "file_id": "file_1"})
NO_IMAGE = "Could not process image"
SEEN = "<image data:image/png;base64,iVBORw0KGgo"

PLACES = [
    ("a document's page", {"type": "page_location", "start_page_number": 1, "end_page_number": 2}),
    ("a document's words", {"type": "char_location", "start_char_index": 0, "end_char_index": 5}),
    ("a document's block", {"type": "content_block_location", "start_block_index": 0, "end_block_index": 1}),
]
CITATIONS: list[Json] = [
    *(place | {"cited_text": name, "document_index": 0, "document_title": None} for name, place in PLACES),
    {
        "type": "search_result_location",
        "cited_text": "a result",
        "search_result_index": 0,
        "source": "s",
        "title": None,
        "start_block_index": 0,
        "end_block_index": 1,
    },
    {
        "type": "web_search_result_location",
        "cited_text": "a page",
        "encrypted_index": "x",
        "title": "t",
        "url": "https://a.invalid",
    },
]

TEXTS = [
    Row("text as a string", body({"role": "user", "content": "Hello?"}), ["user\nHello?<|im_end|>"]),
    Row("text as blocks", ask("Hello?", "Who?"), ["user\nHello?", "Who?<|im_end|>"]),
    Row(
        "text that is marked and cited",
        ask(text("Hello?", cache_control=EPHEMERAL, citations=None)),
        ["user\nHello?<|im_end|>"],
        lacks=["ephemeral", "cit"],
    ),
    Row(
        "a reply with citations, sent back",
        body(user("Hello?"), assistant(text("It rose.", citations=CITATIONS)), user("Sure?")),
        ["user\nHello?<|im_end|>", "assistant\nIt rose.<|im_end|>", "user\nSure?<|im_end|>"],
    ),
    Row("blank text beside text", ask(" ", "Hello?", "\n", ""), ["user\nHello?<|im_end|>"]),
    Row(
        "an empty user turn",
        body({"role": "user", "content": ""}, assistant("Hello."), user("Who?")),
        ["assistant\nHello.<|im_end|>", "user\nWho?<|im_end|>"],
    ),
    Row("a turn without blocks", body(user(), user("Hello?")), ["user\nHello?<|im_end|>"]),
    Row("nothing but blanks", body({"role": "user", "content": " "}), ["<|im_start|>user\n"]),
    Row("an empty last reply", body(user("Hello?"), assistant()), ["user\nHello?<|im_end|>"]),
    Row(
        "words in many scripts",
        ask("déjà 漢字 🙂 \u200b <|im_start|>"),
        ["user\ndéjà 漢字 🙂 \u200b <|im_start|>"],
    ),
]

IMAGES = [
    Row(
        "an image",
        ask("What is", PICTURE, "this?"),
        refused=Refused(f"messages.0.content.1: {NO_IMAGE}"),
        with_images=["user\nWhat is", SEEN, "this?<|im_end|>"],
    ),
    Row(
        "an image elsewhere",
        ask(AT_URL),
        refused=Refused(f"messages.0.content.0: {NO_IMAGE}"),
        with_images=Refused(f"messages.0.content.0.image.source.url: {NO_IMAGE}: the URL can't be fetched"),
    ),
    Row(
        "an image in its URL",
        ask(AT_DATA),
        refused=Refused(f"messages.0.content.0: {NO_IMAGE}"),
        with_images=[SEEN],
    ),
    Row(
        "an image in a file",
        ask(IN_FILE),
        refused=Refused(f"messages.0.content.0: {NO_IMAGE}"),
        with_images=Refused("messages.0.content.0.image.source.file_id: "),
    ),
    Row(
        "an image of another type than it says",
        ask(image(base64(JPEG, "image/png"))),
        refused=Refused(f"messages.0.content.0: {NO_IMAGE}"),
        with_images=["<image data:image/jpeg;base64,/9j/"],
    ),
    Row(
        "an image that is no base64",
        ask(image(base64("!", "image/png"))),
        refused=Refused(f"messages.0.content.0: {NO_IMAGE}"),
        with_images=Refused(f"messages.0.content.0.image.source.base64.data: {NO_IMAGE}"),
    ),
    Row(
        "an image that is marked and may be scaled",
        ask({**PICTURE, "cache_control": EPHEMERAL, "transformations": {"oversized_image": "error"}}),
        refused=Refused(f"messages.0.content.0: {NO_IMAGE}"),
        with_images=[SEEN],
    ),
    Row(
        "an image in a history",
        body(user(PICTURE), assistant("A cat."), user("Sure?")),
        ["user\n[An image, which this model cannot see]<|im_end|>", "A cat.", "Sure?"],
        with_images=[SEEN, "A cat.", "Sure?"],
    ),
    Row(
        "an image in a tool result",
        loop(result([text("A shot:"), PICTURE])),
        refused=Refused(f"messages.2.content.0.tool_result.content.1: {NO_IMAGE}"),
        with_images=["A shot:", SEEN],
    ),
    Row(
        "a tool result that is an image in its URL",
        loop(result([AT_DATA]), "And?"),
        refused=Refused(f"messages.2.content.0.tool_result.content.0: {NO_IMAGE}"),
        with_images=["<tool_response>", SEEN, "And?"],
    ),
    Row(
        "an image in a reply",
        body(user("Draw."), assistant(PICTURE), user("More.")),
        ["user\nDraw.", "assistant\n[An image", "user\nMore."],
        lacks=[PNG[:24]],
        with_images=["user\nDraw.", "assistant\n", "image", "user\nMore."],
    ),
]

PLAIN = {"type": "text", "media_type": "text/plain", "data": "Revenue rose."}
REPORT = document(PLAIN, title="The report", context="Filed in May.", citations={"enabled": True})
SHOWN_REPORT = ["The report", "Filed in May.", "Revenue rose."]

PDF = base64(pdf("Revenue rose.", "Profit fell."), "application/pdf")
SHOWN_PAGES = ["[page 1]", "Revenue rose.", "[page 2]", "Profit fell."]
PAGE = "<image data:image/jpeg;base64,/9j/"

DOCUMENTS = [
    Row("a document", ask(REPORT, "Why?"), [*SHOWN_REPORT, "Why?<|im_end|>"]),
    Row(
        "a bare document, marked",
        ask(document(PLAIN, title=None, context=None, cache_control=EPHEMERAL)),
        ["user\n<document", "Revenue rose."],
        lacks=["None", "ephemeral"],
    ),
    Row(
        "a document in base64", ask(document(base64("UmV2ZW51ZSByb3NlLg==", "text/plain"))), ["Revenue rose."]
    ),
    Row(
        "a document of content",
        ask(document({"type": "content", "content": "Revenue rose."}, title="The report")),
        ["The report", "Revenue rose."],
    ),
    Row(
        "a document of blocks",
        ask(
            document(
                {"type": "content", "content": [text("Revenue"), text("rose.", cache_control=EPHEMERAL)]}
            )
        ),
        ["Revenue", "rose."],
    ),
    Row(
        "a document with odd characters about it",
        ask(
            document(
                {"type": "content", "content": [text("Revenue"), text("\0rose.")]},
                title='A "\0"',
                context="\0",
            )
        ),
        ["<document", "Revenue", "rose."],
    ),
    Row(
        "a document with an image inside",
        ask(document({"type": "content", "content": [text("Before"), PICTURE, text("after")]})),
        ["Before", "[An image, which this model cannot see]", "after"],
        with_images=["Before", SEEN, "after"],
    ),
    Row(
        "a document in a tool result",
        loop(result([REPORT])),
        ["<tool_response>", *SHOWN_REPORT, "</tool_response>"],
    ),
    Row(
        "a document in a reply",
        body(user("Write."), assistant(REPORT), user("Go on.")),
        ["Revenue rose.", "Go on."],
    ),
    Row(
        "a document in a file",
        ask(document({"type": "file", "file_id": "file_1"})),
        refused=Refused("messages.0.content.0.document.source.file_id: "),
    ),
    Row(
        "a document elsewhere",
        ask(document({"type": "url", "url": "http://127.0.0.1:9/report.pdf"})),
        refused=Refused(
            "messages.0.content.0.document.source.url: Could not process PDF: the URL can't be fetched"
        ),
    ),
    Row(
        "a PDF",
        ask(document(PDF, title="The report", context="Filed in May.", citations={"enabled": True}), "Why?"),
        ["The report", "Filed in May.", *SHOWN_PAGES, "Why?<|im_end|>"],
        lacks=["<image", PDF["data"][:24]],
        with_images=["The report", *SHOWN_PAGES, PAGE, PAGE, "Why?"],
    ),
    Row(
        "a PDF in a history",
        body(user(document(PDF)), assistant("I see."), user("Why?")),
        [*SHOWN_PAGES, "assistant\nI see.", "Why?"],
        with_images=[*SHOWN_PAGES, PAGE, PAGE, "I see."],
    ),
    Row(
        "a PDF in a tool result",
        loop(result([text("Read:"), document(PDF)])),
        ["<tool_response>", "Read:", *SHOWN_PAGES, "</tool_response>"],
        with_images=["<tool_response>", "Read:", *SHOWN_PAGES, "</tool_response>", PAGE, PAGE],
    ),
    Row(
        "a PDF in a reply",
        body(user("Write."), assistant(document(PDF)), user("Go on.")),
        ["document", "Go on."],
        lacks=[PDF["data"][:24]],
    ),
    Row(
        "a PDF that is broken",
        ask(document(base64("JVBERi0xLjQK", "application/pdf"))),
        refused=Refused("messages.0.content.0.document.source.base64.data: Could not process PDF: "),
    ),
    Row(
        "a PDF that is no base64",
        ask(document(base64("!", "application/pdf"))),
        refused=Refused("messages.0.content.0.document.source.base64.data: Could not process "),
    ),
    Row(
        "a document that is neither text nor PDF",
        ask(document(base64("UEsDBA==", "application/msword"))),
        refused=Refused("messages.0.content.0.document.source.base64.data: Could not process PDF: "),
    ),
]

FOUND = ['source="https://a.invalid/1"', 'title="The first page"', "Revenue rose."]

SEARCHES = [
    Row("a search result", ask(found("Revenue rose."), "Why?"), [*FOUND, "Why?"]),
    Row(
        "a search result that is marked and may be cited",
        ask(found("Revenue rose.", citations={"enabled": True}, cache_control=EPHEMERAL)),
        FOUND,
        lacks=["ephemeral"],
    ),
    Row(
        "search results in a tool result",
        loop(result([found("Revenue rose."), found("Profit fell.")])),
        ["<tool_response>", *FOUND, "Profit fell.", "</tool_response>"],
    ),
    Row(
        "a search result in a reply",
        body(user("Find."), assistant(found("Revenue rose.")), user("Go on.")),
        ["Revenue rose.", "Go on."],
    ),
]


def thought(*blocks: Json) -> Json:
    return body(user("Weather?"), assistant(*blocks, use()), user(result("7 degrees")), tools=[WEATHER])


THOUGHTS = [
    Row(
        "thinking",
        thought(thinking("I wonder."), text("I look.")),
        [CALL, "7 degrees"],
        native_contains=["<think>\nI wonder.\n</think>\n\nI look.\n" + CALL],
        lacks=["foreign"],
    ),
    Row(
        "thinking without a signature",
        thought({"type": "thinking", "thinking": "Hm."}),
        [CALL],
        ["Hm.\n</think>"],
    ),
    Row("thinking with an empty signature", thought(thinking("Hm.", "")), [CALL], ["Hm.\n</think>"]),
    Row(
        "thinking with a null signature",
        thought(thinking("Hm.") | {"signature": None}),
        [CALL],
        ["Hm.\n</think>"],
    ),
    Row(
        "empty thinking with a foreign signature",
        thought(thinking("", "EqQBCkYIBxgCKkBm")),
        ["assistant\n" + CALL],
        lacks=["EqQB"],
    ),
    Row(
        "empty thinking with a broken signature of ours",
        thought(thinking("", "vms1_AAAA")),
        ["assistant\n" + CALL],
    ),
    Row(
        "thinking, text and thinking again",
        thought(thinking("One."), text("So."), thinking("Two.")),
        ["So.", CALL],
        native_contains=["One.", "Two.", "</think>", "So."],
    ),
    Row(
        "redacted thinking",
        thought({"type": "redacted_thinking", "data": "c2VjcmV0"}),
        ["assistant\n" + CALL],
        lacks=["c2Vj", "redacted"],
    ),
    Row(
        "redacted thinking alone",
        body(user("Hm?"), assistant({"type": "redacted_thinking", "data": "c2VjcmV0"}), user("Go on.")),
        ["Hm?", "Go on."],
        lacks=["c2Vj", "redacted"],
    ),
]

OTHER_CALL = '<tool_call>\n{"name": "look", "arguments": {"deep": {"at": [1, null, "ü"]}}}\n</tool_call>'
TWO_CALLS = [use(), use("toolu_2", "look", {"deep": {"at": [1, None, "ü"]}}, caller={"type": "direct"})]
LOOK = tool("look")


def called(*blocks: Json) -> Json:
    return body(user("Weather?"), assistant(*blocks), user(result("7 degrees")), tools=[WEATHER, LOOK])


CALLS = [
    Row("a call", called(text("I look."), use()), ["I look.\n" + CALL + "<|im_end|>", "7 degrees"]),
    Row("a call alone", called(use()), ["assistant\n" + CALL + "<|im_end|>", "7 degrees"], lacks=["None"]),
    Row("calls side by side", called(*TWO_CALLS), [f"{CALL}\n{OTHER_CALL}<|im_end|>", "7 degrees"]),
    Row("a call without arguments", called(use(input_={})), ['"name": "get_weather", "arguments": {}}']),
    Row(
        "a call whose input is null",
        called(use(input_=None)),
        refused=Refused("messages.1.content.0.tool_use.input: Input should be an object"),
    ),
    Row(
        "a call whose input is text",
        called(use(input_="{'city")),
        refused=Refused("messages.1.content.0.tool_use.input: Input should be an object"),
    ),
    Row("a call that is marked", called(use(cache_control=EPHEMERAL)), [CALL], lacks=["ephemeral"]),
    Row(
        "a call of another provider's id",
        body(
            user("Weather?"),
            assistant(use("call:1/ü")),
            user(result("7 degrees", "call:1/ü")),
            tools=[WEATHER],
        ),
        [CALL, "7 degrees"],
    ),
    Row(
        "a call that nobody answered",
        body(user("Weather?"), assistant(use()), user("Well?")),
        [CALL, "Well?"],
    ),
    Row(
        "a call of a tool that is gone",
        body(user("Weather?"), assistant(use()), user(result("7 degrees")), tools=[LOOK]),
        [CALL, "7 degrees"],
    ),
    Row("a call in a user turn", ask(use(), "Hm?"), ["get_weather", "Hm?"]),
    Row(
        "text after a call",
        called(text("Before."), use(), text("After.")),
        ["Before.", "After."],
        native_contains=[CALL],
        prompted_contains=[CALL],
        lacks=["Before.After."],
    ),
]


def answer(words: str) -> list[str]:
    return ["<tool_response>\n", f"{words}\n</tool_response>"]


RESULTS = [
    Row("a result", loop(result("7 degrees")), [CALL, *answer("7 degrees")]),
    Row("a result in blocks", loop(result([text("7"), text("degrees")])), [CALL, *answer("degrees")], ["7"]),
    Row("a result without content", loop(result()), [CALL, *answer("")]),
    Row("a result of null", loop(result(None)), [CALL, *answer("")], lacks=["None", "null"]),
    Row("a result of nothing", loop(result("")), [CALL, *answer("")]),
    Row("a result of no blocks", loop(result([])), [CALL, *answer("")]),
    Row(
        "a failure",
        loop(result("No network", is_error=True)),
        [CALL, "failed", *answer("No network")[1:]],
    ),
    Row("a failure without content", loop(result(is_error=True)), [CALL, "failed", "</tool_response>"]),
    Row(
        "a success that says so",
        loop(result("7 degrees", is_error=False)),
        answer("7 degrees"),
        lacks=["fail"],
    ),
    Row(
        "a result that is marked",
        loop(result("7", cache_control=EPHEMERAL)),
        answer("7"),
        lacks=["ephemeral"],
    ),
    Row(
        "text around a result",
        loop("Before.", result("7 degrees"), "After."),
        [CALL, "Before.", *answer("7 degrees"), "After."],
    ),
    Row(
        "results in another order than their calls",
        body(
            user("Weather?"),
            assistant(*TWO_CALLS),
            user(result("second", "toolu_2"), result("first", "toolu_1")),
            tools=[WEATHER, LOOK],
        ),
        [OTHER_CALL, *answer("first"), *answer("second")],
    ),
    Row("a result nobody asked for", ask(result("7 degrees"), "Hm?"), [*answer("7 degrees"), "Hm?"]),
    Row(
        "a result in a reply",
        body(user("Hm?"), assistant(result("7 degrees")), user("So?")),
        ["7 degrees", "So?"],
    ),
    Row(
        "a result that refers to a deferred tool",
        loop(
            result([text("Found:"), {"type": "tool_reference", "tool_name": "late"}]),
            tools=[WEATHER, tool("late", defer_loading=True)],
        ),
        ['"name": "get_weather"', CALL, "Found:", '"name": "late"', "Does late.", "</tool_response>"],
        output='<tool_call>\n{"name": "late", "arguments": {"city": "Oslo"}}\n</tool_call>',
        reply=[{"type": "tool_use", "name": "late", "input": {"city": "Oslo"}}],
        stop_reason="tool_use",
    ),
    Row(
        "a result that refers to a tool nobody knows",
        loop(result([{"type": "tool_reference", "tool_name": "lost", "cache_control": EPHEMERAL}])),
        [CALL, "<tool_response>", "lost", "</tool_response>"],
    ),
    Row(
        "a result with the state of a browser",
        loop(
            result(
                [
                    {
                        "type": "browser_state",
                        "tabs": [{"tab_id": 1, "title": "News", "url": "https://n.invalid", "active": True}],
                        "state_changes": [{"type": "tab_opened", "tab_id": 1}],
                    }
                ]
            )
        ),
        ["<tool_response>", "News", "https://n.invalid", "tab_opened", "</tool_response>"],
    ),
    Row(
        "a result with a block not yet invented",
        loop(result([{"type": "hologram", "shows": "a cat"}, text("See?")])),
        ["<tool_response>", "hologram", "a cat", "See?", "</tool_response>"],
    ),
]

BLOCKS = [*TEXTS, *IMAGES, *DOCUMENTS, *SEARCHES, *THOUGHTS, *CALLS, *RESULTS]
