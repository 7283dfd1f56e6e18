"""`vllm-messages doctor`: checks the installation, the environment, the server and the client settings."""
