"""The `vllm-messages` command: one file a command, and nothing here imports vLLM.

`app` names the commands. A command's own file (`smoke_test`, `claude_config`, `claude`, `flags`, `doctor`,
`bench`, `demo`, `serve`) imports typer alone, so that `--help` is fast; `..._run` beside it does the work.
Behind them stand `client`, `grammar`, `outcome`, `checks` and `smoke_report` (the smoke test),
`claude_settings`, `shells`, `settings_file`, `settings_undo` and `file_lock` (claude-config and claude),
`model_files` and `flags_report` (flags), `diagnosis` (doctor), `bench_session` and `bench_report` (bench),
`server` (demo). `reference` writes docs/cli.md. `_launch` and `_ask` are programs that run in processes of
their own, and no other module imports them.
"""
