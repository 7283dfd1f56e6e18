"""`vllm-messages flags`: the `vllm serve` command that fits a model."""
