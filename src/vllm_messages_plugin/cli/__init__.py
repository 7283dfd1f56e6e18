"""The `vllm-messages` command: one module or package per command, and no import of vLLM.

`app` registers the commands. A command's own module (`<command>/command.py`, or `serve.py`) imports typer
alone, so that `--help` is fast; the modules beside it do the work and are imported when the command runs.
`options` has the options that several commands share, and `reference` writes docs/cli.md from the commands'
help.
"""
