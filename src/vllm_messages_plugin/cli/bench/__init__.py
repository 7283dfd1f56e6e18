"""`vllm-messages bench`: measures a server's speed, and how much of a session it finds in its cache."""
