"""`vllm-messages claude`: starts Claude Code with a running server, for one run."""
