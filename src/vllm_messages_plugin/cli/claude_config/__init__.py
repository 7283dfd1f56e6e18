"""`vllm-messages claude-config`: the Claude Code settings that fit a running server."""
