"""The reference rates of a micro-batch: saved before it runs, so that a repetition uses the same ones.

Writes ``<home>/rates/<generation>-<micro-batch>.csv``: the rates from that micro-batch on.
"""

from pathlib import Path
from typing import Final

from fraud.kafka.rates import RateFeed
from fraud.money import Rates, read_rates, write_rates
from fraud.store import Epoch

KEPT: Final = 2
"""Files that stay."""


class BatchRates:
    """Writes rates down where they have changed, between micro-batches alone.

    Parameters
    ----------
    folder
        Of the files; outlives the driver.
    feed
        The rates as they are now.
    base
        The schema's base currency.
    unfinished
        The micro-batch that the last run began and did not finish; None: none.
    """

    def __init__(self, folder: Path, feed: RateFeed, base: str, unfinished: int | None) -> None:
        self._folder, self._feed, self._base = folder, feed, base
        self._begun = -1 if unfinished is None else unfinished
        self._written: Rates | None = None
        """What the newest file holds."""
        folder.mkdir(parents=True, exist_ok=True)

    def file_for(self, epoch: Epoch) -> Path:
        """Give the file of a micro-batch; the same one each time that it runs.

        Raises
        ------
        OSError
            When it cannot be written; nothing was priced.
        """
        known = sorted(file for file in self._folder.glob("*.csv") if file.stem <= epoch.name)
        if known and epoch.batch <= self._begun:
            return known[-1]
        self._begun = max(self._begun, epoch.batch)
        self._feed.look()
        if known and self._written is None:
            self._written = read_rates(known[-1], self._base)
        if known and (self._written is self._feed.rates or self._written == self._feed.rates):
            return known[-1]
        target = self._folder / f"{epoch.name}.csv"
        write_rates(target, self._feed.rates)
        self._written = self._feed.rates
        for old in known[: 1 - KEPT]:
            old.unlink()
        return target
