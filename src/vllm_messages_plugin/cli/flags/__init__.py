"""`vllm-messages flags`: the `vllm serve` line that fits a model."""
