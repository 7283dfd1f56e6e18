"""`vllm-messages parse`: reads a model's raw output as the server would."""
