"""Compares servers of the Messages API that a self-hosted model can have, on the same requests.

    make compare                                   all of it, printed
    make compare ARGS='--only untidy'              one part
    make compare ARGS=--write                      writes docs/compare.md, its plots and the lines in README
    make compare ARGS=--quick                      few cases and few rounds, to see that everything runs

`contenders` starts the servers: vLLM alone, two gateways in front of it, llama.cpp, and vLLM with this
plugin. `conformance`, `untidy`, `requests`, `websearch`, `session` and `tokens` are the parts; each returns
results that `results` keeps as JSON beside this file. `page` makes the page, the plots and README's lines of
them.
"""
