"""The wildcard files: data/wildcards/name.txt is `__name__`, data/wildcards/folder/name.txt is `__folder/name__`."""

from __future__ import annotations

import os
import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from orchestrator.errors import ParamsInvalid, PathOutside
from orchestrator.jobs import one_line
from orchestrator.paths import inside
from orchestrator.prompts import Listing, listing_of
from orchestrator.translation.texts import read_text

ENDING = ".txt"
MAX_FILES = 20_000  # looked at in the folder
MAX_OPTIONS = 200_000  # of one pattern
MAX_KEPT = 200  # files whose lines are remembered
ESCAPE = "To write the underscores themselves, put a backslash before them: \\__…__."


class Wildcards:
    """The options in a folder's text files: one a line, `#` begins a comment. A file is read again when it changed.

    Names are matched without regard to case, as Windows does, so that a prompt means the same everywhere.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is made, empty, when a wildcard is asked for first: there its files go."""
        self.folder = folder
        self._kept: dict[Path, tuple[tuple[int, int], Listing]] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The wildcards there are, sorted."""
        return sorted(map(_bare, self.files().values()))

    def now(self) -> Snapshot:
        """The wildcards as they are now, for one prompt."""
        return Snapshot(self)

    def files(self) -> dict[str, str]:
        """The path of every file in the folder, by its name as it is compared. Raises ParamsInvalid."""
        found: dict[str, str] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ParamsInvalid(
                f"The folder of the wildcards cannot be made: {error.strerror or error}",
                remedy=f"Look at {self.folder}.",
            ) from error
        for folder, folders, names in os.walk(self.folder):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            below = Path(folder).relative_to(self.folder)
            for name in sorted(names):
                if name.lower().endswith(ENDING) and not name.startswith("."):
                    path = (below / name).as_posix()
                    found.setdefault(_key(path), path)
            if len(found) > MAX_FILES:
                raise ParamsInvalid(f"There are more than {MAX_FILES:,} files of wildcards")
        return found

    def has(self, name: str) -> bool:
        """Whether there is a file of exactly this path in the folder."""
        try:
            return inside(self.folder, name).is_file()
        except (PathOutside, OSError, ValueError):
            return False

    def read(self, name: str) -> Listing:
        """The options of one file, by its path in the folder. Raises ParamsInvalid when it cannot be used."""
        said = f"The wildcard file {one_line(name)[:100]}"
        try:
            path = inside(self.folder, name).resolve()
            state = path.stat()
        except (PathOutside, OSError) as error:
            reason = "leads out of its folder" if isinstance(error, PathOutside) else "is away"
            raise ParamsInvalid(f"{said} {reason}", remedy=f"Look at {self.folder}.") from error
        signature = (state.st_mtime_ns, state.st_size)
        with self._lock:
            known = self._kept.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        try:
            text = read_text(path, said)
        except FileNotFoundError as error:
            raise ParamsInvalid(f"{said} is away", remedy=f"Look at {self.folder}.") from error
        listing = listing_of(_bare(_key(name)), text)
        if not listing.options:
            raise ParamsInvalid(f"{said} has no options", remedy="Write one on each line.")
        with self._lock:
            while len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[path] = (signature, listing)
        return listing

    def missing(self, name: str, files: Mapping[str, str]) -> ParamsInvalid:
        """What to raise for a wildcard that is not among the files."""
        names = {_bare(key): _bare(path) for key, path in files.items()}
        # by the last part as well: the folder is easily forgotten
        ends = {key.rpartition("/")[2]: path for key, path in names.items()}
        near = [names[each] for each in get_close_matches(_key(name), names, n=3)]
        near += [ends[each] for each in get_close_matches(_key(name).rpartition("/")[2], ends, n=2)]
        shown = [f"__{one_line(each)[:100]}__" for each in dict.fromkeys(near)][:3]
        hint = f"; did you mean {' or '.join(shown)}?" if shown else ""
        return ParamsInvalid(
            f"There is no wildcard __{one_line(name)[:100]}__{hint}",
            remedy=f"Write its options, one a line, into {self.folder / (name.replace('*', 'all') + ENDING)}. "
            + ESCAPE,
        )


class Snapshot:
    """The wildcards of one prompt: each is looked for once, so that a file that changes meanwhile does no harm."""

    def __init__(self, wildcards: Wildcards) -> None:
        self._wildcards = wildcards
        self._files: dict[str, str] | None = None
        self._known: dict[str, Listing] = {}

    def listing(self, name: str) -> Listing:
        """The options of a wildcard, or of all that a pattern fits: `*` any part of a name, `**` any folders too.

        Raises ParamsInvalid when there is none, with the nearest names, or when a file cannot be used.
        """
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Listing:
        if "*" not in name and self._wildcards.has(name + ENDING):
            return self._wildcards.read(name + ENDING)  # without a look at all the others
        if self._files is None:
            self._files = self._wildcards.files()
        files, key = self._files, _key(name + ENDING)
        if "*" not in name:
            if key not in files:
                raise self._wildcards.missing(name, files)
            return self._wildcards.read(files[key])
        fits = re.compile(_pattern(key))
        found = [files[each] for each in sorted(files) if fits.fullmatch(each)]
        if not found:
            raise self._wildcards.missing(name, files)
        return _together(_key(name), map(self._wildcards.read, found))


def _bare(path: str) -> str:
    return path[: -len(ENDING)]


def _key(name: str) -> str:
    """A name as it is compared: Windows and macOS write the same one in several ways."""
    return unicodedata.normalize("NFC", name).casefold()


def _pattern(name: str) -> str:
    parts = re.split(r"(\*\*/?|\*)", name)
    meant = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*"}
    return "".join(meant.get(part) or re.escape(part) for part in parts)


def _together(name: str, listings: Iterable[Listing]) -> Listing:
    options: list[str] = []
    mentions: dict[str, None] = {}
    for listing in listings:
        options += listing.options
        mentions |= dict.fromkeys(listing.mentions)
        if len(options) > MAX_OPTIONS:
            raise ParamsInvalid(
                f"__{one_line(name)[:100]}__ stands for more than {MAX_OPTIONS:,} lines",
                remedy="Name the wildcards more narrowly.",
            )
    return Listing(name, tuple(options), tuple(mentions))
