"""Prints what an output was read as, for people and for programs."""

from dataclasses import asdict
from typing import Any

import typer

from vllm_messages_plugin.formats.scanning.scanner import (
    CallEnd,
    CallPiece,
    Piece,
    ThinkingPiece,
    ThinkingTags,
)
from vllm_messages_plugin.offline.output import ParsedCall, ParsedOutput

NEXT_STEP = (
    "If this is not what the model meant, open an issue with the output, the tools, the model's name and "
    "what `vllm-messages parse --json` prints for them."
)


def to_json(
    found: ParsedOutput, call_format: str, tags: ThinkingTags | None, *, pieces: bool
) -> dict[str, Any]:
    """Return everything as a JSON object; `pieces` adds what the scanner returned, step by step."""
    report: dict[str, Any] = {
        "format": call_format,
        "thinking_tags": asdict(tags) if tags else None,
        "thinking": found.thinking,
        "text": found.text,
        "calls": [{**asdict(call), "input": call.input} for call in found.calls],
        "repairs": list(found.repairs),
    }
    if pieces:
        report["pieces"] = [
            {"read": read, "kind": _kind(piece), **asdict(piece)} for read, piece in found.pieces
        ]
    return report


def print_output(found: ParsedOutput, call_format: str, tags: ThinkingTags | None) -> None:
    """Print what was read, part by part."""
    around = f", thinking in {tags.open}...{tags.close}" if tags else ""
    opened = ", which the prompt has opened" if tags and tags.starts_open else ""
    typer.echo(f"Read as {call_format}{around}{opened}")
    _section("Thinking", found.thinking)
    _section("Text", found.text)
    _section("Calls", "\n".join(map(_call, found.calls)))
    _section("Repairs", "\n".join(found.repairs))
    typer.echo(f"\n{NEXT_STEP}")


def print_pieces(found: ParsedOutput) -> None:
    """Print every piece that the scanner returned, with the number of characters read until then."""
    width = len(str(max((read for read, _ in found.pieces), default=0)))
    for read, piece in found.pieces:
        typer.echo(f"{read:>{width}}  {_kind(piece):<8}  {_piece(piece)}")
    for repair in found.repairs:
        typer.echo(f"{'':>{width}}  repair    {repair}")
    typer.echo(f"\n{NEXT_STEP}")


def _section(title: str, body: str) -> None:
    typer.secho(f"\n{title}", bold=True)
    for line in (body or "(none)").splitlines():
        typer.echo(f"  {line}")


def _call(call: ParsedCall) -> str:
    cut = "" if call.complete else "  (not complete: the output ended inside the call)"
    return f"{call.name} {call.arguments}{cut}"


def _kind(piece: Piece) -> str:
    if isinstance(piece, ThinkingPiece):
        return "thinking"
    return "call" if isinstance(piece, CallPiece | CallEnd) else "text"


def _piece(piece: Piece) -> str:
    if isinstance(piece, CallEnd):
        return f"{piece.index} {'complete' if piece.complete else 'cut'}"
    if isinstance(piece, CallPiece):
        return f"{piece.index} {piece.name}" if piece.name else f"{piece.index} {piece.arguments!r}"
    return repr(piece.text)
