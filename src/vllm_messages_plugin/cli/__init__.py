"""The `vllm-messages` command: one file a command, and nothing here imports vLLM.

`app` names the commands; `serve`, `smoke_test`, `claude_config` and `demo` are one command each. The rest
stands behind them: `client`, `grammar`, `outcome` and `checks` behind the smoke test, `claude_settings`
and `settings_file` behind claude-config, `server` behind the demo. `_launch` and `_ask` are programs that
run in processes of their own, and no other module imports them.
"""
