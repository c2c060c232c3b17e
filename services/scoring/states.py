"""Whether the states of the feature store can be used: as a whole, and of one entity.

A store whose states have another layout, that was set back, or that was deleted under the service is treated
as away until it has been rebuilt. A corrupt state of one entity is a problem of that entity's transactions.
"""

import logging
from collections.abc import Callable
from typing import Final

from fraud.contracts import Transaction
from fraud.errors import BadState, Unavailable
from fraud.features.events import events_of
from fraud.features.passes import EntityPass, Passes, keys_of_event, passes_of_schema
from fraud.http.problems import Problem
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import FeatureStore, Watermark
from fraud.store.check import faults_of, misfit
from fraud.store.watermark import REBUILD
from services.scoring import metrics

INCOMPLETE: Final = (
    "the feature store is being filled from the log; until it is whole, fields and rules alone decide, and "
    "the stream counts those transactions"
)
log = logging.getLogger(__name__)


class States:
    """Watches a store beside the requests.

    Parameters
    ----------
    store
        The stream's.
    mask
        Hides an id in the log.
    passes
        Whose states it holds; by default the schema's.
    schema
        Of the transactions; by default the deployment's.
    """

    def __init__(
        self,
        store: FeatureStore,
        mask: Callable[[str], str],
        passes: Passes | None = None,
        schema: Schema | None = None,
    ) -> None:
        schema = schema or deployed_schema()
        self._store, self._mask = store, mask
        self._passes, self._event_of = passes or passes_of_schema(schema), events_of(schema).of_transaction
        self._known: tuple[str, Watermark | None] = "", None
        self.problem = ""
        """Why no transaction may be counted in the store, and what repairs it; empty while all may."""
        self.is_complete = True
        """Whether the store says that it is; one that is not takes no commits."""

    def look(self, *, is_thorough: bool = False) -> None:
        """Judge the whole store again; one that does not answer stays as it was judged.

        Parameters
        ----------
        is_thorough
            Read a sample of the states even where the store is known and was good.
        """
        try:
            found = self._find(is_thorough=is_thorough or bool(self.problem))
        except Unavailable:
            return
        if found and found != self.problem:
            log.error("the feature store is not used: %s", found)
        self.problem = found
        metrics.STORE_REFUSED.set(bool(found))

    def meet(self, record: Transaction, error: BadState) -> None:
        """Take in that a transaction's states cannot be read; returns where the whole store cannot.

        Raises
        ------
        Problem
            503, where it is a state of this user, this merchant, ... alone.
        """
        self.look(is_thorough=True)
        if self.problem:
            return
        try:
            keys = keys_of_event(self._passes, self._event_of(record))
            of = {one.name: one for one in self._passes}
            bad = list(dict.fromkeys(name for name, key in keys if self._is_bad(of[name], key)))
        except Unavailable:
            return
        for name in bad:
            metrics.BAD_STATES.labels(name).inc()
        names = " and ".join(bad) or " or ".join(dict.fromkeys(name for name, _ in keys))
        masked = self._mask(record.transaction_id)
        log.error("transaction %s is refused: %s", masked, error, extra={"transaction": masked})
        raise Problem(
            503,
            f"the stored state of this {names} is corrupt; nothing was counted; `fraud store check` lists "
            f"such states; to repair them, stop the stream, {REBUILD}, and send this again",
        ) from error

    def _is_bad(self, of: EntityPass, key: float) -> bool:
        (stored,) = self._store.stored(of.name, [key])
        return stored is not None and any(faults_of(of, {key: stored}))

    def _find(self, *, is_thorough: bool) -> str:
        try:
            self._store.instance()
            identity, mark = self._store.identity(), self._store.watermark()
        except BadState as error:
            return f"{error}; then restart the scoring service"
        before_identity, before = self._known
        if identity and identity == before_identity and before is not None and _is_behind(mark, before):
            return (
                "the feature store was emptied or replaced by an older copy; put the newest back, or "
                f"{REBUILD}"
            )
        self._known, self.is_complete = (identity, mark), bool(identity)
        return misfit(self._store, self._passes) if is_thorough or identity != before_identity else ""


def _is_behind(mark: Watermark | None, before: Watermark) -> bool:
    return mark is None or mark.epoch < before.epoch
