"""`vllm-messages render`: the prompt that a model would read for a request."""
