"""Text files that users write with whatever editor they have."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path

from orchestrator.errors import ParamsInvalid
from orchestrator.files import DISK

MAX_FILE = 5_000_000  # bytes


def read_text(path: Path, name: str) -> str:
    """The text of a file, UTF-8 with or without its mark. `name` is what a message calls the file.

    Raises FileNotFoundError, ParamsInvalid when the file is too large, cannot be read, or is no UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise ParamsInvalid(
                f"{name} has {size / 1e6:.1f} MB; {MAX_FILE / 1e6:.0f} MB are allowed",
                remedy="Divide the file, or take the lines out that you do not use.",
            )
        data = DISK.read(path)[0]
        return data.removeprefix(BOM_UTF8).decode()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ParamsInvalid(
            f"{name} cannot be read: {error.strerror or error}",
            remedy="Look at the file: it must be readable for whoever runs the lab.",
        ) from error
    except UnicodeDecodeError as error:
        raise ParamsInvalid(
            f"{name} is not UTF-8 text (byte {error.start + 1})",
            remedy="Open the file in an editor and save it with the encoding UTF-8.",
        ) from error
