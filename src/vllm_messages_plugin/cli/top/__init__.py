"""`vllm-messages top`: a live view of a server's keys, queue, prefix cache and speed."""
