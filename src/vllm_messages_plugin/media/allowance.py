"""What the media of one request may cost, counted down while they are read.

The blocks of the newest user turn are read first, so that a long history can't use up what they need.
"""

from dataclasses import dataclass
from typing import Final

MAX_PDFS: Final = 100
MAX_PAGES: Final = 600
MAX_PDF_SECONDS: Final = 120.0
"""Seconds that all PDFs of a request may take together, those read lately not counted."""
MAX_PIXELS: Final = 512_000_000
"""Pixels that are decoded for one request, images checked lately not counted: about three seconds of work."""


class ExceededError(Exception):
    """Which limit a request has exceeded, in words that follow `Could not process ...: `."""


@dataclass(slots=True)
class MediaAllowance:
    """What the media of a request may still cost."""

    pdfs: int = MAX_PDFS
    pages: int = MAX_PAGES
    pdf_seconds: float = MAX_PDF_SECONDS
    pixels: int = MAX_PIXELS

    def take_pdf(self) -> None:
        """Count one more PDF.

        Raises:
            ExceededError: there are too many, or the others took too long.
        """
        self.pdfs -= 1
        if self.pdfs < 0:
            raise ExceededError(f"A maximum of {MAX_PDFS} PDF documents may be provided.")
        if self.pdf_seconds <= 0:
            raise ExceededError(f"the PDFs of the request take more than {MAX_PDF_SECONDS:g} seconds")

    def take_pages(self, count: int) -> None:
        """Count the pages of a PDF.

        Raises:
            ExceededError: there are too many pages.
        """
        if count > self.pages:
            raise ExceededError(f"A maximum of {MAX_PAGES} PDF pages may be provided.")
        self.pages -= count

    def take_pixels(self, count: int) -> None:
        """Count the pixels of an image.

        Raises:
            ExceededError: there are too many pixels.
        """
        if count > self.pixels:
            raise ExceededError("the images of the request are too large together")
        self.pixels -= count
