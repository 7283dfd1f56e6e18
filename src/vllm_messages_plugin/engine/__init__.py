"""Runs requests on vLLM's engine. The only package that imports vLLM, and in it only `engine.vllm` does.

`backend.Backend` is the served model: it renders prompts (`render`), starts requests (`generate`) and turns
the engine's outputs into deltas (`output`). `openai_routes` offers the same parsers to vLLM's own routes.
"""
