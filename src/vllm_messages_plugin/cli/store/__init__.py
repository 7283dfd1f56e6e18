"""`vllm-messages store`: looks at the store of files and batches, prunes it, exports it."""
