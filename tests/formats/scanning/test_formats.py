"""The table of formats: its names are the probe's, and the scanner reads what real templates write."""

import json
from collections.abc import Mapping

import pytest

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.whole_scan import ScanResult, join, pieces_of, scan, split
from vllm_messages_plugin.formats.probing import sentinels as say
from vllm_messages_plugin.formats.probing import template_probe
from vllm_messages_plugin.formats.probing.detectors import DETECTORS as PROBED
from vllm_messages_plugin.formats.probing.detectors import DETECTORS_BY_NAME
from vllm_messages_plugin.formats.probing.sandbox import RenderError
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern
from vllm_messages_plugin.formats.scanning.scanner import Scanner

OWN = {"any", "invoke"}
# What the scanner leaves to vLLM, or to nobody.
NOT_OURS = {
    "minimax_elements", "functionary_arrows", "harmony", "k2_horizon", "plamo", "atem_invoke",
}  # fmt: skip
# Templates that don't write a call anybody could read back, each for a reason of its own.
BROKEN = {
    "SvalTek-Q3-CharThink-9B-temp": "escapes its own closing tag as HTML",
    "typhoon-ai-typhoon2.1-gemma3-4b": "puts no comma between arguments",
    "ServiceNow-AI-Apriel-Nemotron-15b-Thinker": "leaves the id's string open",
}


def test_a_format_has_the_name_that_the_probe_gives_it():
    assert set(FORMATS) - OWN == set(DETECTORS_BY_NAME) - NOT_OURS
    assert all(call_format.name == name for name, call_format in FORMATS.items())


def test_every_format_has_a_sample():
    assert set(SAMPLE_WRITERS) == set(FORMATS) - {"any"}


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"any", "invoke"}))
def test_the_samples_are_what_the_probe_calls_by_that_name(name: str):
    text = write_calls(name, [(say.NAME, {say.KEY: say.VALUE, say.OTHER_KEY: say.NUMBER})])
    known = next(detector for detector in PROBED if detector.name == name)
    context = {
        "laguna_xml": f"<assistant>{text}",
        "step_xml": f"{text}<|im_start|>tool_response",
        "cohere_action_4": f"<|END_TEXT|>{text}",
    }
    assert known.pattern.search(context.get(name, text))


@pytest.mark.parametrize("name", sorted(set(SAMPLE_WRITERS)))
def test_any_reads_what_can_be_recognised_in_text(name: str):
    text = write_calls(name, [("Read", {"file_path": "/a", "limit": 5})])
    result = scan("any", text, size=1)
    if FORMATS[name].sections[0].open in {section.open for section in FORMATS["any"].sections}:
        assert result.complete_calls == [("Read", {"file_path": "/a", "limit": 5})]
    elif not result.complete_calls:
        assert result.text == text


@pytest.mark.parametrize(
    ("format_name", "marker"),
    [
        ("hermes_json", "<tool_call>"),
        ("hermes_json", "</tool_call>"),
        ("mistral", "[TOOL_CALLS]"),
        ("mistral", "[ARGS]"),
        ("kimi_section", "<|tool_call_argument_begin|>"),
        ("lfm2_python", "<|tool_call_end|>"),
        ("glm_xml", "</arg_key>"),
        ("gemma_call", '<|"|>'),
        ("step3_invoke", "<｜tool_call_end｜>"),  # noqa: RUF001
        ("deepseek_json", "<｜tool▁sep｜>"),  # noqa: RUF001
    ],
)
def test_markers_are_the_pieces_a_tokenizer_may_hide(format_name: str, marker: str):
    assert marker in FORMATS[format_name].markers


def test_untagged_formats_have_no_markers():
    assert FORMATS["python_list"].markers == ()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_pattern_begins_with_a_literal_that_can_be_searched_for(name: str):
    for section in FORMATS[name].sections:
        assert not section.open or MarkupPattern(section.open).first_literal
        for call in section.calls:
            assert not call.arg_open or MarkupPattern(call.arg_close).first_literal
            assert not call.alone or MarkupPattern(call.open).first_literal


def test_solar_writes_arguments_between_tokens():
    text = (
        "<|tool_call:start|>Edit\n<|tool_arg:start|>replace_all<|tool_arg:value|>true<|tool_arg:end|>\n"
        "<|tool_arg:start|>lines<|tool_arg:value|>[1, 2]<|tool_arg:end|>\n<|tool_call:end|>"
    )
    assert scan("solar_open", text, size=1).complete_calls == [
        ("Edit", {"replace_all": True, "lines": [1, 2]})
    ]


def test_mistral_writes_calls_in_every_version():
    for text in (
        '[TOOL_CALLS] [{"name": "Read", "arguments": {"limit": 5}, "id": "abcdefghi"}]',
        '[TOOL_CALLS]Read{"limit": 5}',
        '[TOOL_CALLS]Read[CALL_ID]abcdefghi[ARGS]{"limit": 5}',
        '[TOOL_CALLS]Read[ARGS]{"limit": 5}',
    ):
        assert scan("mistral", text, size=1).complete_calls == [("Read", {"limit": 5})]
        assert scan("mistral", text + text + "Done.").complete_calls == [("Read", {"limit": 5})] * 2


def test_kimi_writes_the_name_with_a_number():
    for written in ("functions.Read:0", "Read:12", "Read", "functions.mcp__a__Read:1"):
        text = f"<|tool_call_begin|>{written}<|tool_call_argument_begin|>{{}}<|tool_call_end|>"
        name = "mcp__a__Read" if "mcp" in written else "Read"
        assert scan("kimi_section", text, size=1).complete_calls == [(name, {})]


def _assistant_turn(template: str) -> str | None:
    """What a template writes for a message that calls the sentinel tool, up to the tool's answer."""
    try:
        tooled = template_probe._renderer_for(template, {"bos_token": "<s>", "eos_token": "</s>"})
        call = template_probe._rendered_call(tooled)
    except RenderError:
        return None
    return call.segment if call else None


def _scan_segment(format_name: str, text: str, size: int) -> ScanResult:
    return join(pieces_of(Scanner(FORMATS[format_name], tools=[say.TOOL]), split(text, size)))


def test_the_scanner_reads_what_real_templates_write(corpus: Mapping[str, str]):
    wanted = {say.KEY: say.VALUE, say.OTHER_KEY: say.NUMBER}
    read, wrong = 0, {}
    for model, template in corpus.items():
        segment = _assistant_turn(template)
        format_name = next((s.name for s in PROBED if segment and s.pattern.search(segment)), None)
        if not segment or format_name not in FORMATS or model in BROKEN:
            continue
        for size in (0, 1):
            result = _scan_segment(format_name, segment, size)
            # Some Kimi templates write the call's id, which the caller chooses, in the place of its name.
            names = (say.NAME, say.CALL_ID) if format_name == "kimi_section" else (say.NAME,)
            if [complete for *_, complete in result.calls] != [True] or result.calls[0][0] not in names:
                wrong[model] = (format_name, segment)
            elif json.loads(result.calls[0][1]) != wanted:
                wrong[model] = (format_name, result.calls)
            else:
                read += 1
    assert wrong == {}
    assert read >= 680
