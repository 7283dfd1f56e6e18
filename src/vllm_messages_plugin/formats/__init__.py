"""How models write: what a chat template speaks, which parser reads it back, tools as plain text.

Called by the engine room when a server starts and by the CLI, which has no vLLM. Nothing here
imports vLLM or another room: templates and facts go in, frozen records and text come out.
"""
