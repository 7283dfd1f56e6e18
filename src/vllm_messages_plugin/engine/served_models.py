"""The names the server answers to: base models and LoRA adapters.

Used by `backend`; reads vLLM's own registry anew each time, for adapters come and go.
"""

import time
from typing import Any

from vllm_messages_plugin.engine.output.selection import ParserSelection
from vllm_messages_plugin.wire.resources import ServedModel


class ServedModels:
    """A view of vLLM's model registry (`state.openai_serving_models`)."""

    def __init__(self, registry: Any, readers: ParserSelection, window: int, images: bool) -> None:
        self._registry = registry
        self._readers = readers
        self._window = window
        self._images = images
        self._since = int(time.time())  # vLLM's cards say the time of asking, which caches can't use

    def names(self) -> list[str]:
        """Every served name, base models first."""
        return [path.name for path in self._registry.base_model_paths] + list(self._registry.lora_requests)

    async def cards(self) -> list[tuple[ServedModel, list[Any]]]:
        """Every served model with the permission list that OpenAI's shape carries."""
        listed = await self._registry.show_available_models()
        thinking = self._readers.profile.thinking if self._readers.profile else None
        return [
            (
                ServedModel(
                    id=card.id,
                    root=card.root or card.id,
                    window=self._window,
                    created=self._since,
                    parent=card.parent,
                    images=self._images,
                    thinking=self._readers.reasoning_parser is not None,
                    thinking_off=thinking is not None and thinking.kwarg is not None,
                    effort=thinking is not None and thinking.effort_kwarg is not None,
                ),
                [permission.model_dump() for permission in card.permission],
            )
            for card in listed.data
        ]

    def lora(self, name: str) -> Any:
        """The LoRA request behind a served name; None for a base model."""
        return self._registry.lora_requests.get(name)

    async def load_lora(self, name: str) -> bool:
        """Ask vLLM's LoRA resolvers for an adapter of this name, where the server allows it."""
        from vllm import envs

        if not envs.VLLM_ALLOW_RUNTIME_LORA_UPDATING:
            return False
        found = await self._registry.resolve_lora(name)
        return hasattr(found, "lora_name")
