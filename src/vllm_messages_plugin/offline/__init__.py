"""What a model reads and what its output means, without a server: one call each.

`parse_output` reads a model's raw text into thinking, text and tool calls. `render_prompt` translates a
request and renders it with a model's chat template. Both do what the server does, with the same code, and
import no vLLM.
"""

from vllm_messages_plugin.offline.output import ParsedCall, ParsedOutput, parse_output
from vllm_messages_plugin.offline.places import PlacedBlock
from vllm_messages_plugin.offline.prompt import RenderedPrompt, UnrenderableError, render_prompt

__all__ = [
    "ParsedCall",
    "ParsedOutput",
    "PlacedBlock",
    "RenderedPrompt",
    "UnrenderableError",
    "parse_output",
    "render_prompt",
]
