"""`vllm-messages smoke-test`: checks whether a running server keeps the Messages protocol."""
