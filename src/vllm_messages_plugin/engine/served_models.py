"""The model names that the server answers to: base models and LoRA adapters.

vLLM's registry is read anew each time, because adapters come and go.
"""

import time
from typing import Any

from vllm_messages_plugin.engine.output.selection import ParserSelection
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.wire.resources import ServedModel


class EngineModels:
    """A view of vLLM's model registry (`state.openai_serving_models`)."""

    def __init__(self, registry: Any, selection: ParserSelection, window: int, images: bool) -> None:
        self._registry = registry
        self._selection = selection
        self._window = window
        self._images = images
        self._since = int(time.time())  # vLLM's cards carry the time of the request, which defeats caching

    def names(self) -> list[str]:
        """Return every served name, base models first."""
        return [path.name for path in self._registry.base_model_paths] + list(self._registry.lora_requests)

    async def cards(self) -> list[tuple[ServedModel, list[Any]]]:
        """Return every served model with the permission list of OpenAI's model object."""
        listed = await self._registry.show_available_models()
        thinking = self._selection.profile.thinking if self._selection.profile else None
        return [
            (
                ServedModel(
                    id=card.id,
                    root=card.root or card.id,
                    window=self._window,
                    created=self._since,
                    parent=card.parent,
                    images=self._images,
                    thinking=self._selection.reasoning_parser is not None,
                    thinking_off=thinking is not None and thinking.kwarg is not None,
                    effort=thinking is not None and thinking.effort_kwarg is not None,
                ),
                [permission.model_dump() for permission in card.permission],
            )
            for card in listed.data
        ]

    def lora(self, name: str) -> Any:
        """Return the LoRA request of a served name; None for a base model."""
        return self._registry.lora_requests.get(name)

    async def load_lora(self, name: str) -> bool:
        """Load an adapter of this name by vLLM's LoRA resolvers, where the server allows it.

        Returns:
            Whether the adapter is served now.
        """
        if not compat.envs.VLLM_ALLOW_RUNTIME_LORA_UPDATING:
            return False
        result = await self._registry.resolve_lora(name)
        return hasattr(result, "lora_name")
