"""Lists as they were when each transaction was decided: for backtests, which look at many times at once.

A decision names the version of the lists that it saw. Where it names none, its time counts, by when the
broker took each change.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fraud.decide.lists import Change, Definition, ListStore

NO_VERSION = -1


class DecisionTimes:
    """When transactions were decided.

    Parameters
    ----------
    versions
        Of the lists that each decision saw, ``NO_VERSION`` where that is not known, [n].
    received_s
        Unix time, [n].
    """

    def __init__(self, versions: NDArray[np.int64], received_s: NDArray[np.float64]) -> None:
        self.versions, self.received_s = versions, received_s

    def one(self, row: int) -> "DecisionTimes":
        """Take one."""
        return DecisionTimes(self.versions[row : row + 1], self.received_s[row : row + 1])


class PastList:
    """One list at many moments."""

    def __init__(
        self,
        store: ListStore,
        name: str,
        definition: Definition,
        lengths: Sequence[int],
        moments: DecisionTimes,
    ) -> None:
        self._store, self._name, self._definition, self._lengths = store, name, definition, lengths
        self._moments = moments

    def at(self, row: int) -> "PastList":
        """Give the list at one moment; answers ``value in list``."""
        return PastList(self._store, self._name, self._definition, self._lengths, self._moments.one(row))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and bool(self.hold(np.zeros(1, np.int32), [value])[0])

    def hold(self, codes: NDArray[np.int32], texts: Sequence[str]) -> NDArray[np.bool_]:
        """Tell for each moment whether the list held its value.

        Parameters
        ----------
        codes
            Number of each moment's text; -1: it has none.
        texts
            The distinct ones.
        """
        found = np.zeros(len(codes), np.bool_)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(texts) + 1))
        for code, text in enumerate(texts):
            candidates = self._definition.candidates(text, self._lengths)
            kept = [one for one in self._store.changes(f"{self._name}\n{each}" for each in candidates) if one]
            rows = order[bounds[code] : bounds[code + 1]]
            for changes in kept:
                found[rows] |= self._was_in(changes, rows)
        return found

    def _was_in(self, changes: Sequence[Change], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell at which moments an entry was in the list, by its last change before each of them."""
        versions, received_s = self._moments.versions[rows], self._moments.received_s[rows]
        by_version = np.searchsorted([one.offset for one in changes], versions, side="left")
        by_time = np.searchsorted([one.since_s for one in changes], received_s, side="right")
        last = np.where(versions == NO_VERSION, by_time, by_version) - 1
        is_in = np.array([one.is_in for one in changes])
        until_s = np.array([np.inf if one.until_s is None else one.until_s for one in changes])
        was_in: NDArray[np.bool_] = (last >= 0) & is_in[last] & (received_s < until_s[last])
        return was_in


class PastLists:
    """The lists of a store with all changes that the topic still has.

    Parameters
    ----------
    store
        That nobody writes meanwhile.
    """

    def __init__(self, store: ListStore) -> None:
        self._store = store

    @property
    def names(self) -> frozenset[str]:
        """Names of the lists that there are."""
        return frozenset(self._store.definitions())

    @property
    def known_since_s(self) -> float:
        """Unix time from which on all changes are known."""
        return self._store.known_since_s

    def view(
        self, names: Iterable[str], versions: NDArray[np.int64], received_s: NDArray[np.float64]
    ) -> "dict[str, PastList]":
        """Give lists as they were; one that was never created is left out."""
        end = self._store.position  # a version beyond is one of a topic that is gone
        moments = DecisionTimes(np.where(versions > end, NO_VERSION, versions), received_s)
        known = self._store.known()
        return {name: PastList(self._store, name, *known[name], moments) for name in names if name in known}


def versions_of(policy_versions: Sequence[str | None]) -> NDArray[np.int64]:
    """Read the lists' versions out of decisions' ``policy_version``.

    Examples
    --------
    >>> versions_of(["1+1a2b3c4d@57", "1+1a2b3c4d", None]).tolist()
    [57, -1, -1]
    """
    ends = [(one or "").rpartition("@") for one in policy_versions]
    return np.array([int(end) if sign and end.isdigit() else NO_VERSION for _, sign, end in ends], np.int64)
