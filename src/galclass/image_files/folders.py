"""The files of a folder, recursively: links are followed once, and no file occurs twice.

Takes a folder, yields paths inside it with "/" between the parts. Names alone are asked of the disk: no file is opened,
and only links are looked at, so that 240,000 files take half a second.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator

from galclass.image_names import object_id_of

Unlisted = Callable[[str, OSError], None]
Repeated = Callable[[str], None]


FoundFile = tuple[str, bool]
"""A file of a folder: its path inside, and whether it is a pipe, socket or device, which must not be opened."""


def walk(folder: str, unlisted: Unlisted, repeated: Repeated) -> Iterator[FoundFile]:
    """Yield every file of a folder and its folders.

    Parameters
    ----------
    folder : str
    unlisted : callable
        Called with the path inside of each folder that cannot be listed, and the error; it may raise.
    repeated : callable
        Called with the path inside of each linked file that was also found under its own path, with the same object id,
        and of each linked folder that was walked already or holds the folder itself.

    Yields
    ------
    name : str
    special : bool
        The files of a folder by name, then those of its folders; linked folders and files after all others. A folder
        that was walked already, under whatever path, is not walked again, nor is one that holds the folder itself.
    """
    walker = _Walker(folder, unlisted, repeated)
    yield from walker.walk("")
    while walker.linked_folders:
        name = walker.linked_folders.popleft()
        if walker.leads_back(name):
            repeated(name)
        else:
            yield from walker.walk(name)
    yield from walker.files_of_links()


class _Walker:
    def __init__(self, root: str, unlisted: Unlisted, repeated: Repeated) -> None:
        self._root, self._unlisted, self._repeated = root, unlisted, repeated
        self._walked: set[tuple[int, int]] = set()
        self._folder_of: dict[str, tuple[int, int] | None] = {}
        self._linked_files: list[tuple[str, bool]] = []
        self.linked_folders: deque[str] = deque()
        self._home = os.path.realpath(root)

    def walk(self, top: str) -> Iterator[FoundFile]:
        waiting = [top]
        while waiting:
            inside = waiting.pop()
            try:
                self._note_walked(inside)
                with os.scandir(os.path.join(self._root, inside) if inside else self._root) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                self._unlisted(inside, error)
                continue
            prefix = f"{inside}/" if inside else ""
            folders = []
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield prefix + entry.name, False
                elif entry.is_symlink():
                    self._note_link(entry, prefix + entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(prefix + entry.name)
                else:
                    yield prefix + entry.name, True
            waiting += reversed(folders)

    def leads_back(self, inside: str) -> bool:
        """Return whether a linked folder was walked already, or holds the folder that is walked."""
        target = os.path.realpath(os.path.join(self._root, inside))
        return self._identity_of(target) in self._walked or self._home.startswith(target.rstrip("/") + "/")

    def files_of_links(self) -> Iterator[FoundFile]:
        """Yield the linked files whose target was not found under its own path."""
        targets: set[tuple[object, str]] = set()
        for name, special in self._linked_files:
            path = os.path.join(self._root, name)
            folder, base = os.path.split(os.path.join(os.path.dirname(path), os.readlink(path)))
            where, same_id = self._identity_of(folder), object_id_of(base) == object_id_of(name)
            if same_id and where is not None and (where in self._walked or (where, base) in targets):
                self._repeated(name)
                continue
            if same_id:
                targets.add((where, base))
            yield name, special

    def _note_link(self, entry: os.DirEntry[str], name: str) -> None:
        try:
            facts = entry.stat()
        except OSError:  # dangling, or a loop: whoever reads it finds out why
            self._linked_files.append((name, False))
            return
        if stat.S_ISDIR(facts.st_mode):
            self.linked_folders.append(name)
        else:
            self._linked_files.append((name, not stat.S_ISREG(facts.st_mode)))

    def _note_walked(self, inside: str) -> None:
        facts = os.stat(os.path.join(self._root, inside))
        self._walked.add((facts.st_dev, facts.st_ino))

    def _identity_of(self, folder: str) -> tuple[int, int] | None:
        if folder not in self._folder_of:
            try:
                facts = os.stat(folder)
                self._folder_of[folder] = (facts.st_dev, facts.st_ino)
            except OSError:
                self._folder_of[folder] = None
        return self._folder_of[folder]
