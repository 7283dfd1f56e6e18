"""Support for testing a client of the Messages API offline; docs/testing.md explains when to use which part.

In the test's own process, without vLLM:

- `fake_engine`: the plugin's routes as an ASGI app, with replies that the test writes
- `replies`: whole replies for it: text, thinking, tool calls

On a real vLLM server, without a GPU and without downloading a model:

- `tiny`: a two-layer model with random weights and a small chat template
- `scripted`: a vLLM logits processor that makes any model reply with a given text
- `script`: the format of those texts; pure
"""
