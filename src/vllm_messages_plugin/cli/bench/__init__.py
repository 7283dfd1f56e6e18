"""`vllm-messages bench`: measures how fast a server answers and how much of a session it finds cached."""
