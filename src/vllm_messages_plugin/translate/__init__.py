"""Requests into conversations: what the model is to read, in the words of a chat template. Pure.

`http.messages` calls `conversation.converse`; `engine.render` reads what it returns.
"""
