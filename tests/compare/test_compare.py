"""Of the comparison, what needs no server: what counts as right, and what the page says of results."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import pytest

from compare import conformance, page, plot, requests, results, untidy, websearch
from compare.__main__ import merged
from compare.contenders import LITELLM, LLAMA, NATIVE, PLUGIN, litellm_config
from compare.results import Group, Outcome, Results, Search, Session
from compare.script import EMPTY_THOUGHT, thoughts
from compare.untidy import Case, Reply
from support.search_services import PAGES
from vllm_messages_plugin.conformance.checks import structured, tools
from vllm_messages_plugin.conformance.checks.server_tools import BRIEF
from vllm_messages_plugin.testing.script import parse_playbook, script_for

CALL = Case("a call", untidy.HERMES, "", [("text", "I look."), ("Bash", {"command": "ls"})], [untidy.BASH])
CUT = Case("a cut call", untidy.HERMES, "", [("set", None)], [], cut=True)


def reply(*blocks: Any, stop_reason: str = "tool_use", parts: tuple[str, ...] = ()) -> Reply:
    return Reply(blocks, parts, stop_reason)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (reply(("text", "I look.\n"), ("Bash", {"command": "ls"})), "right"),
        (reply(("thinking", ""), ("text", "I look."), ("Bash", {"command": "ls"})), "right"),
        (reply(("Bash", {"command": "ls"}), ("text", "I look.")), "wrong"),
        (reply(("text", 'I look. <tool_call>{"name": "Bash", "arguments": {"command": "ls"}}')), "wrong"),
        (reply(("text", "I look."), ("Bash", {"command": "ls", "x": 1})), "wrong"),
        (reply(("text", "I look.")), "lost"),
        (reply(), "lost"),
    ],
)
def test_a_reply_is_judged_by_its_blocks(found: Reply, verdict: str) -> None:
    assert untidy.judge(CALL, found).verdict == verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (reply(("set", {}), stop_reason="max_tokens", parts=('{"x": 10',)), "right"),
        (reply(("set", {"x": 10}), stop_reason="max_tokens", parts=('{"x": 10}',)), "wrong"),
        (reply(("set", {}), stop_reason="tool_use", parts=('{"x": 10',)), "wrong"),
        (reply(("text", '{"name": "set"'), stop_reason="max_tokens"), "wrong"),
        (reply(stop_reason="max_tokens"), "lost"),
    ],
)
def test_a_cut_call_must_be_visibly_cut(found: Reply, verdict: str) -> None:
    assert untidy.judge(CUT, found).verdict == verdict


def test_there_are_many_cases_each_with_a_name_of_its_own() -> None:
    cases = untidy.all_cases()
    assert 20 <= sum(not case.tidy for case in cases) <= 40
    assert len({case.name for case in cases}) == len(cases)


def test_no_rule_of_the_playbook_answers_another_case() -> None:
    cases = untidy.all_cases()
    rules = untidy.playbook(cases)
    for number in range(len(cases)):
        said = [rule["when"] for rule in rules if untidy.marker(number) in rule["when"]]
        assert 1 <= len(said) <= 2


@pytest.mark.parametrize(
    ("result", "reason", "expected"),
    [
        ("pass", "fine", "passed"),
        ("fail", "a document: HTTP 400: not supported", "refused"),
        ("fail", "HTTP 500: oops", "failed"),
        ("fail", "stop_reason is wrong", "failed"),
        ("skip", "HTTP 400", "skipped"),
        ("error", "a bug", "skipped"),
    ],
)
def test_a_check_is_refused_if_the_server_said_no(result: str, reason: str, expected: str) -> None:
    check = {"result": result, "reason": reason, "group": "g", "name": "n"}
    assert conformance.kind(check) == expected
    assert getattr(conformance.counted([check])["g"], expected) == 1


def search_blocks(urls: bool, text: str) -> list[dict[str, Any]]:
    hits = [{"type": "web_search_result", "url": entry["url"]} for entry in PAGES] if urls else []
    return [{"type": "web_search_tool_result", "content": hits}, {"type": "text", "text": text}]


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (search_blocks(True, requests.ANSWER), "right"),
        (search_blocks(False, " ".join(f"{entry['url']}: {entry['text']}" for entry in PAGES)), "right"),
        (search_blocks(True, "Something else."), "wrong"),
        (search_blocks(False, requests.ANSWER), "wrong"),
        ([], "lost"),
    ],
)
def test_a_search_needs_its_results_and_a_reader(content: list[dict[str, Any]], verdict: str) -> None:
    assert requests.judged_search(content).verdict == verdict


SWITCHED = {"type": "tool_use", "name": "switch", "input": {"state": "on"}}
CUT_SWITCH = {**SWITCHED, "input": {}}


@pytest.mark.parametrize(
    ("content", "stop_reason", "is_right"),
    [
        ([SWITCHED], "tool_use", True),
        ([SWITCHED, SWITCHED], "tool_use", True),
        ([SWITCHED, CUT_SWITCH], "max_tokens", True),
        ([SWITCHED, CUT_SWITCH], "tool_use", False),
        ([CUT_SWITCH], "max_tokens", False),
        ([{"type": "text", "text": "on"}], "end_turn", False),
        ([{"type": "text", "text": "I do."}, SWITCHED], "tool_use", False),
        ([], "end_turn", False),
    ],
)
def test_a_forced_call_is_any_number_of_valid_ones(
    content: list[dict[str, Any]], stop_reason: str, is_right: bool
) -> None:
    assert requests.are_forced_calls({"content": content, "stop_reason": stop_reason}) == is_right


@pytest.mark.parametrize(
    ("text", "ended", "verdict"),
    [
        ("content_block_delta event: error", "closed", "right"),
        ("content_block_delta message_stop", "closed", "wrong"),
        ("content_block_delta", "broken: ReadError", "wrong"),
        ("", "hung", "wrong"),
    ],
)
def test_only_an_error_event_tells_of_a_dead_engine(text: str, ended: str, verdict: str) -> None:
    assert requests.judged_end(text, ended).verdict == verdict


def claude_code_events(
    content: str = "", answer: str = requests.ANSWER, *, is_error: bool = False, searches: int = 1
) -> list[dict[str, Any]]:
    """What Claude Code prints of one search."""
    block = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": is_error}
    told = {"searchCount": searches, "durationSeconds": 0.25}
    return [
        {"type": "system", "subtype": "init"},
        {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "WebSearch"}]}},
        {
            "type": "user",
            "message": {"content": [block]},
            "tool_use_result": content if is_error else told,
        },
        {"type": "result", "result": f"\n\n{answer}", "duration_ms": 1500},
    ]


EVIDENCE = " ".join(f"{entry['url']}: {entry['text']}" for entry in PAGES)


@pytest.mark.parametrize(
    ("events", "queries", "verdict"),
    [
        (claude_code_events(EVIDENCE), [requests.QUERY], "right"),
        (claude_code_events(EVIDENCE), [f"Perform a web search: {requests.QUERY}"], "right"),
        (claude_code_events(EVIDENCE), [], "wrong"),
        (claude_code_events(EVIDENCE), [requests.QUERY] * 2, "wrong"),
        (claude_code_events(EVIDENCE, websearch.NO_ANSWER), [requests.QUERY], "wrong"),
        (claude_code_events(PAGES[0]["url"]), [requests.QUERY], "wrong"),
        (claude_code_events("No links found."), [requests.QUERY], "lost"),
        (claude_code_events(f"API Error: {EVIDENCE}", is_error=True), [requests.QUERY], "refused"),
        (claude_code_events(EVIDENCE)[-1:], [requests.QUERY], "wrong"),
    ],
)
def test_a_search_is_judged_by_what_reached_the_model_and_the_user(
    events: list[dict[str, Any]], queries: list[str | None], verdict: str
) -> None:
    assert websearch.judged(events, queries).verdict == verdict


def test_what_the_user_sees_of_a_search_is_kept() -> None:
    events = claude_code_events("API Error: 400\n  no", websearch.NO_ANSWER, is_error=True)
    assert websearch.judged(events, []) == Search(
        "refused", "API Error: 400 no", websearch.NO_ANSWER, total=1.5
    )
    found = websearch.judged(claude_code_events(EVIDENCE, searches=0), [requests.QUERY])
    everything = f"{len(PAGES)} of {len(PAGES)} addresses, {len(PAGES)} of {len(PAGES)} texts"
    assert found == Search("right", everything, requests.ANSWER, 1, 0, 0.25, 1.5)


def said(rules: Sequence[Mapping[str, Any]], prompt: str) -> str:
    """What the scripted model says to a prompt; empty if no rule matches."""
    script = script_for(parse_playbook(json.dumps(list(rules))), prompt)
    return "".join(str(piece) for piece in script.pieces) if script else ""


def test_the_model_summarises_where_a_check_asks_it_to_and_else_answers() -> None:
    talk = "user: Remember: the heron waits in the reeds.\nassistant: I will.\n"
    summary = said(conformance.PLAYBOOK, f"{talk}user: {BRIEF}\n")
    answer = said(conformance.PLAYBOOK, f"{talk}user: Where does it wait?\n")
    ignored = said(conformance.PLAYBOOK, talk)
    assert len({summary, answer, ignored, ""}) == 4
    closed = said(conformance.PLAYBOOK, f"{talk}user: {BRIEF}\n<think>\n\n</think>\n\n")
    assert summary == EMPTY_THOUGHT + closed


@pytest.mark.parametrize("question", [structured.QUESTION, tools.QUESTION])
def test_no_script_stands_in_for_what_a_server_must_enforce(question: str) -> None:
    assert said(conformance.PLAYBOOK, f"user: {question}\n") == ""


def test_a_thought_is_left_out_where_thinking_is_off() -> None:
    rules = thoughts("prime", "Let me see.", "Yes.")
    assert said(rules, "Is it prime?") == "<think>\nLet me see.\n</think>\n\nYes."
    assert said(rules, "Is it prime?\n<think>\n\n</think>\n\n") == "Yes."


def measured() -> Results:
    """Results with a bit of everything."""
    case = untidy.all_cases()[-1].name
    facts = {"date": "2026-11-28", "machine": "2 cores", "python": "3.11", "command": "x", "minutes": "9"}
    return Results(
        run=dict.fromkeys(("conformance", "tokens"), facts),
        versions={NATIVE: "vLLM 1", PLUGIN: "plugin 1"},
        conformance={
            NATIVE: {"wire": Group(3, 1, 2, 0, ("a (failed: x|y)",))},
            PLUGIN: {"wire": Group(5, 1, 0, 0, ("b (failed: z)",))},
        },
        untidy={NATIVE: {case: Outcome("right")}, PLUGIN: {case: Outcome("lost", "a <tag>")}},
        requests={PLUGIN: {"row": Outcome("right")}, LLAMA: {"row": Outcome("none")}},
        session={
            NATIVE: Session(None, 4.0, 1.0),
            PLUGIN: Session(0.99, 5.0, 2.0),
            LITELLM: Session(error="x"),
        },
        websearch={
            PLUGIN: Search("right", "3 of 3", "By pip.", 1, 1, 0.5, 2.0),
            LITELLM: Search("right", "3 of 3", "By pip.", 1, 0, 0.25, 3.0),
            NATIVE: Search("refused", "API Error: <400>", "I don't know.", total=1.0),
        },
        tokens={NATIVE: 60.0, PLUGIN: 20.0},
    )


def test_results_survive_their_file() -> None:
    before = measured()
    assert results.from_text(results.to_text(before)) == before
    assert json.loads(results.to_text(before))["tokens"] == {NATIVE: 60.0, PLUGIN: 20.0}


def test_the_page_has_every_part_and_says_where_another_is_better() -> None:
    text = page.markdown(measured())
    for row in (
        "| wire | 3 / 1 / 2 | 5 / 1 / 0 |",
        "| Protocol checks passed | 3 of 6 | – | – | – | 5 of 6 |",  # noqa: RUF001
        "| vLLM alone | 60 | 3.0 |",
        "| vLLM alone | refused | API Error: &lt;400&gt; | I don't know. | 0 | – | – | 1 |",  # noqa: RUF001
        "| this plugin | **right** | 3 of 3 | By pip. | 1 | 1 | 0.5 | 2 |",
        "Measured 2026-11-28, on 2 cores, Python 3.11, by `x` (9 minutes): conformance, tokens.",
    ):
        assert row in text
    better = text.partition("## Where another is better")[2]
    for line in (
        "right with vLLM alone; lost with this plugin",
        "Checks that vLLM alone does not fail and this plugin does: b.",
        "The session's time to the first text: 4 ms with vLLM alone, 5 ms with this plugin.",
        "A search by Claude Code takes 0.25 s with LiteLLM → vLLM, 0.5 s with this plugin.",
    ):
        assert line in better


def test_a_run_replaces_only_what_it_measured() -> None:
    now = Results(tokens={PLUGIN: 10.0}, versions={PLUGIN: "plugin 2"})
    kept = merged(measured(), now, ["tokens"])
    assert kept.tokens == {NATIVE: 60.0, PLUGIN: 10.0}
    assert kept.session == measured().session
    assert kept.versions == {PLUGIN: "plugin 2"}


def test_a_text_of_a_server_cannot_break_the_page() -> None:
    assert page._plain("a | b\n<details> `x`") == r"a \| b &lt;details&gt; \`x\`"


def test_five_lines_go_between_the_marks_and_nothing_else_changes() -> None:
    text = f"head\n{page.BEGIN}\nold\n{page.END}\ntail\n"
    lines = page.five_lines(measured())
    assert page.between_marks(text, lines) == f"head\n{page.BEGIN}\n{lines}\n{page.END}\ntail\n"
    assert len(lines.splitlines()) == 2 + 5
    with pytest.raises(ValueError, match="missing"):
        page.between_marks("no marks", lines)


def test_a_plot_is_well_formed_and_as_wide_as_its_longest_bar() -> None:
    bars = [
        plot.Bar("a & b", {"right": 3, "wrong": 1}, "3 of 4"),
        plot.Bar("c", {"right": 2, "wrong": 0}, "2"),
    ]
    root = ElementTree.fromstring(plot.chart("Title", bars))
    boxes = [
        element for element in root.iter() if element.tag.endswith("rect") and element.get("height") == "18"
    ]
    assert [round(float(box.get("width", "0"))) for box in boxes] == [368, 122, 245]
    assert "prefers-color-scheme: dark" in plot.STYLE


def test_what_is_written_is_what_the_stored_results_say() -> None:
    """The page, its plots and README's lines change with the results alone."""
    stored = results.stored()
    assert {*stored.conformance} >= {NATIVE, PLUGIN}
    assert page.PAGE.read_text(encoding="utf-8") == page.markdown(stored)
    for name, text in page.plots(stored).items():
        assert (page.IMAGES / name).read_text(encoding="utf-8") == text
    readme = page.README.read_text(encoding="utf-8")
    assert page.between_marks(readme, page.five_lines(stored)) == readme


def test_litellm_is_configured_to_search_only_where_there_is_a_service() -> None:
    assert "search_tools" not in litellm_config("http://vllm", "")
    searching = json.dumps(litellm_config("http://vllm", "http://search"))
    assert "websearch_interception" in searching
    assert "http://search" in searching
