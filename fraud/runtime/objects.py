"""Objects under a URI of an object store, e.g. ``s3://bucket/prefix``: written whole, or not at all.

Access comes from the environment (``AWS_*``). A write may have a condition: that nobody has written the
object yet, or nobody since we read it. So of two writers one finds out, without a lock.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fraud.errors import Fenced, Unavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

RETRIES_S: Final = 20.0
"""How long a request is tried again, seconds."""
ANSWER_S: Final = 30.0
"""How long one answer may take, seconds."""
CONNECT_S: Final = 5.0
"""How long a connection may take, seconds."""
FETCHED_AT_ONCE: Final = 8
"""Objects that are read at the same time."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there."""

    name: str
    size: int
    changed_s: float
    """Unix time."""
    tag: str
    """Changes with the content."""


class Objects:
    """The objects under a URI.

    Parameters
    ----------
    uri
        Bucket and prefix.

    Raises
    ------
    Unavailable
        By every method, when the object store does not answer or refuses; try again.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    def listed(self, prefix: str = "") -> list[Found]:
        """List the objects whose names begin with a prefix that ends in ``/``, by name."""
        with self._errors("listed"):
            pages = self._store.list(prefix.rstrip("/") or None)
            found = [_found(one) for page in pages for one in page]
        return sorted(found, key=lambda one: one.name)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Read an object and its tag; None where there is none."""
        with self._errors(f"read: {name}"):
            try:
                answer = self._store.get(name)
                return bytes(answer.bytes()), str(answer.meta["e_tag"])
            except FileNotFoundError:
                return None

    def fetch(self, name: str, target: Path) -> str | None:
        """Read an object into a file, a part at a time; returns its tag, None where there is none."""
        with self._errors(f"read: {name}"):
            try:
                answer = self._store.get(name)
            except FileNotFoundError:
                return None
            with target.open("wb") as file:
                for part in answer.stream():
                    file.write(memoryview(part))
            return str(answer.meta["e_tag"])

    def fetch_all(self, targets: Mapping[str, Path]) -> dict[str, str]:
        """Read objects into files, some at a time; returns the tags of those that are there."""
        with ThreadPoolExecutor(FETCHED_AT_ONCE) as readers:
            tags = list(readers.map(self.fetch, targets.keys(), targets.values()))
        return {name: tag for name, tag in zip(targets, tags, strict=True) if tag is not None}

    def create(self, name: str, content: bytes | Path) -> str | None:
        """Write a new object; returns its tag, or None if the object exists already."""
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415  (not in every image)

        with self._errors(f"written: {name}"):
            try:
                return self._put(name, content, "create")
            except AlreadyExistsError:
                return None

    def replace(self, name: str, content: bytes, tag: str | None) -> str:
        """Write an object if it still has this tag (None: if it does not exist yet); returns the new tag.

        Raises
        ------
        Fenced
            When somebody has, with another content.
        """
        from obstore.exceptions import PreconditionError  # noqa: PLC0415

        if tag is None:
            written = self.create(name, content)
        else:
            with self._errors(f"written: {name}"):
                try:
                    written = self._put(name, content, {"e_tag": tag})
                except (PreconditionError, FileNotFoundError):
                    written = None
        if written is not None:
            return written
        found = self.read(name)  # perhaps our own, whose answer was lost
        if found is None or found[0] != content:
            raise Fenced(
                f"another driver has written {self.uri}/{name}, and has taken over. If you did not "
                "intend this, give each deployment a FRAUD_STREAM_HOME_URI of its own"
            )
        return found[1]

    def delete(self, names: list[str]) -> None:
        """Delete objects; one that is not there is no error."""
        with self._errors("deleted"):
            if names:
                self._store.delete(names)

    @cached_property
    def _store(self) -> "ObjectStore":
        from obstore.store import from_url  # noqa: PLC0415

        return from_url(
            self.uri,
            client_options={
                "timeout": timedelta(seconds=ANSWER_S),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"true", "1"},
            },
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=RETRIES_S)},
        )

    def _put(self, name: str, content: bytes | Path, mode: Any) -> str:
        answer = self._store.put(name, content, mode=mode, use_multipart=False)
        return str(answer["e_tag"])

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError  # noqa: PLC0415

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, OSError) as error:
            words = " ".join(str(error).partition("Debug source")[0].split())
            raise Unavailable(f"the object store {self.uri} cannot be used ({what}): {words}") from error


def _found(one: Any) -> Found:
    return Found(one["path"], one["size"], one["last_modified"].timestamp(), str(one["e_tag"]))
