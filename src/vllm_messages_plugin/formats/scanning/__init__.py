"""Incremental parsers that split a model's output into reply text, thinking and tool calls. Pure Python.

The public interface:

- `reply.read_reply`: reads a complete reply, in one call from text to pieces and repairs.
- `scanner.Scanner`: the incremental parser of one reply; `scanner.ThinkingTags` names the tags of thinking.
- `pieces`: what it returns: `TextPiece`, `ThinkingPiece`, `CallPiece`, `CallEnd`.
- `formats.FORMATS`: the known tool-call formats by name.
- `syntax`: the records a format is made of, to describe another one.

Everything else is internal to this package.
"""
