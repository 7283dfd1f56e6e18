"""The Anthropic Messages API on any vLLM server.

The map of the house, in the order a request walks through it:

- `plugin`: the door; vLLM's entry points, and the one place where the rooms are joined
- `settings`: the VLLM_MESSAGES_* environment variables
- `wire`: the protocol's words: requests, messages, events, errors
- `http`: routes and middleware, thin
- `translate`: requests into conversations; pure
- `engine`: the only room that imports vLLM
- `formats`: how a model's text and its template speak of tools and thinking; pure
- `stream`: deltas into events, one state machine
- `cli`: the `vllm-messages` command
- `testing`: the fakes and the scripted model that tests use
"""

__version__ = "0.1.0"
