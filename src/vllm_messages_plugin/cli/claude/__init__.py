"""`vllm-messages claude`: starts Claude Code against a running server for one run."""
