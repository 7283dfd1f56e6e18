"""An observer that keeps what became of calls."""

from dataclasses import dataclass, field


@dataclass
class SeenCalls:
    """The calls that were repaired or could not be read.

    Attributes:
        repairs: The notes of the repairs.
        raw: How many calls stayed in the reply as text.
    """

    repairs: list[str] = field(default_factory=list)
    raw: int = 0

    def add_repair(self, note: str) -> None:
        self.repairs.append(note)

    def add_raw_call(self) -> None:
        self.raw += 1
