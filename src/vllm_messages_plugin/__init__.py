"""The Anthropic Messages API on any vLLM server.

The packages and modules, in the order in which a request meets them (docs/design.md describes them):

- `plugin`: vLLM's entry points, and the one place where the packages are joined
- `settings`: the VLLM_MESSAGES_* environment variables
- `http`: routes and ASGI middleware
- `wire`: the protocol's types: requests, content blocks, messages, events, errors
- `translate`: requests into conversations for the chat template; pure
- `media`: images, PDFs and the guarded fetching of URLs
- `engine`: the only package that imports vLLM
- `formats`: reads tool calls and thinking out of model text, and learns their format from a template; pure
- `stream`: engine deltas into protocol events, by one state machine
- `offline`: what a model reads and what its output means, without a server
- `conformance`: the server-independent protocol checks behind `vllm-messages smoke-test`
- `cli`: the `vllm-messages` command
- `demo`: the small model behind `make demo`
- `testing`: a scripted model, tiny models and a fake engine, for tests of apps that use this plugin
- `probe_process`: probes a chat template in a child process with limits
- `file_lock`: a lock on a file, shared by the CLI and the demo
"""

__version__ = "1.0.0"
