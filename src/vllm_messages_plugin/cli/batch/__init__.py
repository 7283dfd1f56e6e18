"""`vllm-messages batch`: runs a file of requests as a batch on a server."""
