"""The bench: what the plugin costs, beside what vLLM's own code costs in the same run.

    make bench                                     all of it
    make bench ARGS='--quick'                      small sizes and few rounds
    make bench ARGS='--only parsers --shapes qwen_xml,hermes_json'
    make bench ARGS='--markdown docs/performance.md'

`readings` times the readers of tool calls (made in `parsers`), `servers` two servers, ours and vLLM's
own. `verdicts` says which requirement holds; the exit status is 1 if one does not.
"""
