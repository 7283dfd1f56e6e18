"""`vllm-messages keys`: adds, lists and revokes the named API keys of a server."""
