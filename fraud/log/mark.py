"""The mark of a feature store that is being rebuilt: there until it is whole, in the stream's home."""

from pathlib import Path

from fraud.runtime.objects import Objects


class RebuildMark:
    """A file, or an object.

    Parameters
    ----------
    place
        Path, or URI of an object store (``HomeSettings.rebuild_mark``).
    """

    def __init__(self, place: Path | str) -> None:
        self._place = place

    def read(self) -> str | None:
        """Read what it says; None where there is none."""
        if isinstance(self._place, Path):
            return self._place.read_text() if self._place.exists() else None
        objects, name = self._object(self._place)
        found = objects.read(name)
        return found[0].decode() if found else None

    def set(self, text: str = "") -> None:
        """Say that the store is not whole from now on."""
        if isinstance(self._place, Path):
            self._place.write_text(text)
            return
        objects, name = self._object(self._place)
        found = objects.read(name)
        objects.replace(name, text.encode(), found[1] if found else None)

    def clear(self) -> None:
        """Say that it is whole."""
        if isinstance(self._place, Path):
            self._place.unlink()
            return
        objects, name = self._object(self._place)
        objects.delete([name])

    @staticmethod
    def _object(uri: str) -> tuple[Objects, str]:
        above, _, name = uri.rpartition("/")
        return Objects(above), name
