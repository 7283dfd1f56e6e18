"""`vllm-messages demo`: a small model on a real vLLM server, checked and asked one question."""
