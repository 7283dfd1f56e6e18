"""The bench: what the plugin costs, beside what vLLM's own code costs in the same run.

    make bench                                     all of it
    make bench ARGS='--quick'                      small sizes and few rounds
    make bench ARGS='--only parsers --formats qwen_xml,hermes_json'
    make bench ARGS='--markdown docs/performance.md'

`parser_timings` times the parsers of tool calls (made in `parsers`), `servers` two servers, with
and without the plugin. `verdicts` compares with the requirements; the exit status is 1 if one is missed.
"""
