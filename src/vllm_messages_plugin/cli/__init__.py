"""The `vllm-messages` command: one file a command, and nothing here imports vLLM.

`app` names the commands. A command's own file (`smoke_test`, `claude_config`, `claude`, `flags`, `doctor`,
`bench`, `demo`, `serve`) imports typer alone, so that `--help` is fast; `..._run` beside it does the work.
Behind them stand `client`, `grammar`, `outcome`, `checks` and `smoke_report` (the smoke test),
`claude_settings`, `shells`, `settings_file`, `settings_undo` and `file_lock` (claude-config and claude),
`model_files` and `flags_report` (flags), `diagnosis` (doctor), `bench_session` and `bench_report` (bench),
`server` (demo). `reference` writes docs/cli.md. `_ask` is a program that runs in a process of its own; so is
`engine.launch`, which `serve` starts where vLLM's own command does not work.
"""
