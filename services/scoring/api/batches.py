"""Requests that hold many transactions: how many may be under way, and what they cost their client.

A batch takes one turn for its body and one for each transaction, like a request of its own, so that single
transactions go between them.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fraud.contracts import Transaction
from fraud.http.access import RateLimit
from fraud.http.problems import Problem
from services.scoring.api.bodies import Places, dump, load
from services.scoring.api.request_queue import RequestQueue
from services.scoring.settings import ScoringSettings

T = TypeVar("T")


class Batches:
    """Lets batches in by their size.

    Parameters
    ----------
    settings
        Of the service.
    queue
        In which bodies are parsed.
    limit
        Of the clients; the first transaction of a request has been taken from it.
    """

    def __init__(self, settings: ScoringSettings, queue: RequestQueue, limit: RateLimit) -> None:
        self._most = settings.max_batch
        self._queue, self._limit = queue, limit
        self._bytes = Places(4 * settings.max_body_bytes, "bytes of batches wait")
        self._items = Places(2 * settings.max_batch, "transactions of batches wait")

    @asynccontextmanager
    async def read(
        self, raw: bytes, client: str, find: Callable[[bytes, int], tuple[list[Any], T]]
    ) -> AsyncIterator[tuple[list[Any], T]]:
        """Read a batch; its places are taken until the end of the block.

        Parameters
        ----------
        find
            Parses a body that may have so many transactions; gives them and what else is needed of it.

        Raises
        ------
        Problem
            400, 422 or 429.
        """
        with self._bytes.held(len(raw)), self._items.held(0) as hold:
            items, rest = await self._queue.run(partial(find, raw, self._most), is_of_batch=True)
            if not 1 <= len(items) <= self._most:
                raise Problem(
                    422, f"a list of 1 to {self._most} transactions is needed; this has {len(items)}"
                )
            hold(len(items))
            self._limit.charge(client, len(items) - 1)
            yield items, rest


def items_of(name: str, raw: bytes, most: int) -> tuple[list[Any], None]:
    """Find the list of this name in a JSON body.

    Raises
    ------
    Problem
        400 or 422.
    """
    items = load(raw, most).get(name)
    if not isinstance(items, list):
        raise Problem(422, f"{name}: a list of 1 to {most} transactions is needed")
    return items, None


def read_item(read: Callable[[bytes, str], Transaction], item: Any, prefix: str = "") -> Transaction:
    """Read one of the list as a transaction of a request is read.

    Raises
    ------
    Problem
        413 or 422.
    """
    return read(dump(item), prefix)
