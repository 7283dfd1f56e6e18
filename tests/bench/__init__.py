"""The bench: what the plugin costs, beside what vLLM's own code costs in the same run.

    make bench                                  all of it, about a quarter of an hour
    make bench ARGS='--only parsers --sizes 4,16 --shapes qwen_xml,hermes_json'

`readings` and `parsers` time the readers of tool calls, `servers`, `streams` and `prompts` two servers.
Nothing here fails on a number: it prints them.
"""
