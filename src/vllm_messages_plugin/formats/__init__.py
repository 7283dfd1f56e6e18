"""Model text: what a chat template renders, and how a reply is read back into text, thinking and calls.

`probing` finds out what a chat template can do, `scanning` reads replies, `prompted` describes tools as
text. The package is pure: templates and text go in, frozen values come out; it imports neither vLLM nor
another package of this plugin.
"""
