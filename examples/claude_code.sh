#!/usr/bin/env bash
# Start Claude Code on your own vLLM server, for this one run: nothing is written to any file.
#
#     npm install -g @anthropic-ai/claude-code
#     MODEL=my-model ./claude_code.sh
#
# `vllm-messages claude-config` asks the server for these values, explains each and writes them for good;
# claude_code.md explains them.
set -euo pipefail

: "${ANTHROPIC_BASE_URL:=http://localhost:8000}"       # without /v1: Claude Code adds it
: "${ANTHROPIC_AUTH_TOKEN:=${ANTHROPIC_API_KEY:-none}}" # any text, unless vLLM has --api-key
: "${MODEL:?which model? MODEL=NAME $0}"               # the name after vllm serve
: "${WINDOW:=131072}"                                  # vLLM's --max-model-len

unset ANTHROPIC_API_KEY # Claude Code would ask whether to use it
export ANTHROPIC_BASE_URL ANTHROPIC_AUTH_TOKEN
export ANTHROPIC_MODEL="$MODEL"
# Subagents and skills ask for models by these names.
export ANTHROPIC_DEFAULT_OPUS_MODEL="$MODEL" ANTHROPIC_DEFAULT_SONNET_MODEL="$MODEL"
export ANTHROPIC_DEFAULT_HAIKU_MODEL="$MODEL" ANTHROPIC_DEFAULT_FABLE_MODEL="$MODEL"
# The window: without these two, Claude Code assumes a million tokens and compacts too late.
export CLAUDE_CODE_MAX_CONTEXT_TOKENS="$WINDOW" CLAUDE_CODE_DISABLE_1M_CONTEXT=1
export CLAUDE_CODE_MAX_OUTPUT_TOKENS="${MAX_OUTPUT:-16384}"
# Without a line that differs between sessions, they share the server's prefix cache.
export CLAUDE_CODE_ATTRIBUTION_HEADER=0
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
# A long prompt may take minutes to its first token.
export CLAUDE_STREAM_IDLE_TIMEOUT_MS=1800000 API_TIMEOUT_MS=1800000

exec claude --settings '{"disableAutoMode": "disable", "skipWebFetchPreflight": true}' "$@"
