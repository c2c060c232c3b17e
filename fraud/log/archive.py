"""The archive: carries finished micro-batches from the spool into the Delta tables, each exactly once.

Reads spool folders of committed micro-batches; appends to the tables ``transactions``, ``features``,
``decisions``, ``labels``, ``results`` and ``profiles`` (where the schema takes any), ``dead_letters``. What
one commit takes is written down (``plan.json``) before it starts, and every table's commit carries the
plan's number as Delta's transaction version: after a crash the same plan runs again and skips the tables that
have it. delta-rs writes: a commit costs milliseconds, where Spark's writer took most of a core at any load
(DECISIONS.md, 9).
"""

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from pydantic import BaseModel

from fraud.contracts.topics import PROFILES, RESULTS
from fraud.errors import Unavailable
from fraud.features.passes import (
    Passes,
    feature_names,
    passes_of_schema,
    sequence_names,
    sides_beside_primary,
)
from fraud.log import rows
from fraud.log.arrival import COLUMNS, Reach
from fraud.log.checkpoint import committed_in, offsets_of
from fraud.log.spool import Place, spool_at
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import BASE_MINOR
from fraud.schema.schema import Schema

if TYPE_CHECKING:
    from pyarrow.dataset import Scanner

log = logging.getLogger(__name__)
CHECKPOINT_COMMITS: Final = "100"
"""Commits between two of a table's checkpoints."""
TOMBSTONES: Final = {"delta.deletedFileRetentionDuration": "interval 60 days"}
"""How long a table's log names files that were replaced: longer than ``fraud compact`` keeps them."""
ATTEMPTS: Final = 3
"""Of a commit that meets another one."""
MOST_FOLDERS: Final = 200
"""Micro-batches of one commit, where many wait."""
LAST: Final = "dead_letters"
"""The table that is committed last, and always: its newest commit says how far all of them are complete."""
_LITTLE_AT_A_TIME: Final = {"batch_readahead": 1, "fragment_readahead": 1}
"""Of the spool's files, which may be large."""
_ORIGIN: Final = COLUMNS
TableColumns = dict[str, tuple[int, tuple[str, ...]]]


def tables_of(passes: Passes, schema: Schema) -> TableColumns:
    """Tell by table which rows of the spool it takes, and which columns.

    ``fraud.log.arrival`` tells their order. The origin stands within Delta's first 32 columns, over which
    files are skipped.

    Parameters
    ----------
    passes
        Whose sequences and features the tables have.
    schema
        Of the records.
    """
    of, keys = rows.rows_of(schema), ("transaction_id", *schema.key_names, "event_time")
    money = ("currency", BASE_MINOR) if schema.money else ()
    sequences = sequence_names(passes)
    decided = (field.name for field in rows.DECISION_FIELDS)
    of_notices = (*_ORIGIN, *sequences, *(side.hash_name for side in sides_beside_primary(passes)))
    ids = dict.fromkeys([*keys, *of.refund_names])
    told = (*ids, *(field.name for field in of.result_fields), "source", "reason_code", *of_notices)
    of_profiles = (
        *schema.key_names,
        *(field.name for field in of.profile_fields),
        "source",
        *_ORIGIN,
        *sequences,
    )
    return {
        "transactions": (
            rows.TRANSACTION,
            (*(field.name for field in of.transaction_fields), *_ORIGIN, *sequences),
        ),
        "features": (
            rows.TRANSACTION,
            (*keys, "features_version", *_ORIGIN, *sequences, *feature_names(passes)),
        ),
        "decisions": (
            rows.TRANSACTION,
            (
                *dict.fromkeys([*keys, "amount", *money]),
                *decided,
                "features_version",
                "processed_at",
                *_ORIGIN,
            ),
        ),
        "labels": (
            rows.LABEL,
            (
                *keys,
                *(field.name for field in rows.LABEL_FIELDS),
                *of_notices,
            ),
        ),
        **({RESULTS: (rows.RESULT, told)} if of.result_fields else {}),
        **({PROFILES: (rows.PROFILE, of_profiles)} if of.profile_fields else {}),
        "dead_letters": (
            rows.DEAD_LETTER,
            ("topic", *(field.name for field in rows.DEAD_LETTER_FIELDS), "processed_at", *_ORIGIN),
        ),
    }


class Plan(BaseModel):
    """What one round of commits takes."""

    writer: str
    """Identity of the spool; Delta counts ``number`` per writer."""
    number: int
    folders: list[str]
    is_done: bool
    offsets: str = ""
    """Where its newest micro-batch ends in Kafka; empty where that is not known."""


class Archive:
    """Moves committed micro-batches from ``spool`` to Delta tables under ``delta``.

    Parameters
    ----------
    spool
        Folder or URI of the micro-batches' results.
    checkpoint
        Spark's checkpoint, whose ``commits`` say which micro-batches are finished.
    delta
        Path or URI under which the tables lie.
    options
        Access to the object store, under delta-rs' names.
    write, remove
        Append to a table; remove a micro-batch, by its name, from the spool.
    passes
        Whose sequences and features the tables have; by default the schema's.
    schema
        Of the records; by default the deployment's.
    committed
        Tells the last finished micro-batch of the running query; default: by the checkpoint.
    """

    def __init__(
        self,
        spool: Place,
        checkpoint: Path,
        delta: str,
        options: dict[str, str],
        *,
        passes: Passes | None = None,
        schema: Schema | None = None,
        write: Callable[..., None] = write_deltalake,
        remove: Callable[[str], None] | None = None,
        committed: Callable[[], int] | None = None,
    ) -> None:
        schema = schema or deployed_schema()
        passes = passes or passes_of_schema(schema)
        self._schema = rows.rows_of(schema).spooled_schema(passes)
        self._tables = tables_of(passes, schema)
        self.spool = spool_at(spool)
        self._checkpoint = checkpoint
        self._committed = committed or partial(committed_in, checkpoint)
        self._delta = delta.rstrip("/")
        self._options = options
        self._write_table, self._remove = write, remove or self.spool.remove
        self._is_checked = False

    def run(self, generation: int) -> int:
        """Archive what is finished; returns how many micro-batches that was.

        Parameters
        ----------
        generation
            Of the running query; folders of older generations are finished.

        Raises
        ------
        Unavailable
            When a table is gone. This, and whatever the tables' place or the disk raises, leaves the
            micro-batches in the spool; try again.
        """
        if not self._is_checked:
            self._refuse_older_files()
        plan = self._read_plan()
        if plan.is_done:
            folders = self._finished(generation, plan)
            if not folders:
                return 0
            if plan.number:
                self._check_tables()
            folders = folders[:MOST_FOLDERS]
            ends = self._ends_of(folders[-1], generation)
            plan = Plan(
                writer=plan.writer, number=plan.number + 1, folders=folders, is_done=False, offsets=ends
            )
            self._write_plan(plan)
            self._commit(plan)
        elif not self._is_whole(plan):  # one that was cut off; its files may be gone in part if it is whole
            self._commit(plan)
        try:
            for name in plan.folders:
                self._remove(name)
        except (OSError, Unavailable) as error:
            # The plan stays open: what is still there must not be archived by another.
            log.warning("an archived micro-batch cannot be removed from the spool yet: %s", error)
            return 0
        self._write_plan(plan.model_copy(update={"is_done": True}))
        return len(plan.folders)

    def _refuse_older_files(self) -> None:
        """Refuse what an earlier release left; once, as this one writes its own form."""
        for file in self.spool.left_by_earlier_releases():
            from pyarrow.parquet import read_schema  # noqa: PLC0415  (imports pandas: seconds of a start)

            if "row_kind" not in read_schema(file).names:
                raise Unavailable(
                    f"{file} was written by an earlier release: start that release once more and stop it in "
                    "order; this one begins with an empty spool"
                )
        self._is_checked = True

    def _check_tables(self) -> None:
        """Make sure that no table is gone: a new one in its place would hide that rows are lost.

        Those of results and of profiles are not looked for: a schema may take them from a later day on.
        """
        for table in (name for name in self._tables if name not in (RESULTS, PROFILES)):
            if not DeltaTable.is_deltatable(f"{self._delta}/{table}", self._options):
                raise Unavailable(
                    f"the Delta table {self._delta}/{table} is gone: restore it from a backup or from the "
                    "object store's versions. To start it again without its old rows, stop the stream and "
                    f"delete {self.spool.place_of_plan()}"
                )

    def waiting(self) -> list[str]:
        """List the micro-batches that wait, those that are not finished too."""
        plan = self._read_plan()
        return self.spool.waiting(_newest_of(plan) if plan.is_done else "")

    def _finished(self, generation: int, plan: Plan) -> list[str]:
        committed = self._committed()
        finished = []
        for name in self.spool.waiting(_newest_of(plan)):
            of, batch = (int(part) for part in name.split("-"))
            if of < generation or (of == generation and batch <= committed):
                finished.append(name)
        return finished

    def _ends_of(self, folder: str, generation: int) -> str:
        """Tell where a micro-batch ends in Kafka; only the running query's checkpoint knows."""
        of, batch = (int(part) for part in folder.split("-"))
        return offsets_of(self._checkpoint, batch) if of == generation else ""

    def _commit(self, plan: Plan) -> None:
        files = [file for name in plan.folders for file in self.spool.files(name)]
        if not files:
            return
        from pyarrow.dataset import dataset  # noqa: PLC0415  (imports pandas: seconds of a start)

        with self.spool.local(files) as local:
            found = dataset(local, schema=self._schema, format="parquet")
            for table, (kind, columns) in self._tables.items():
                taken = pc.field("row_kind") == kind
                if table == "decisions":  # history from before go-live was decided elsewhere
                    taken &= pc.field("outcome").is_valid()
                scanner = found.scanner(columns=list(columns), filter=taken, **_LITTLE_AT_A_TIME)
                self._append(table, scanner, plan)

    def _is_whole(self, plan: Plan) -> bool:
        """Whether all tables have what a plan takes."""
        uri = f"{self._delta}/{LAST}"
        if not DeltaTable.is_deltatable(uri, self._options):
            return False
        committed = DeltaTable(uri, storage_options=self._options).transaction_version(plan.writer)
        return committed is not None and committed >= plan.number

    def _append(self, table: str, found: "Scanner", plan: Plan) -> None:
        uri = f"{self._delta}/{table}"
        for attempt in range(1, ATTEMPTS + 1):
            if DeltaTable.is_deltatable(uri, self._options):
                committed = DeltaTable(uri, storage_options=self._options).transaction_version(plan.writer)
                if committed is not None and committed >= plan.number:
                    return
                if table != LAST and found.count_rows() == 0:
                    return
            try:
                self._write(uri, found, plan)
            except CommitFailedError:  # somebody changed the table's properties meanwhile
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    def _write(self, uri: str, found: "Scanner", plan: Plan) -> None:
        self._write_table(
            uri,
            found.to_reader(),
            mode="append",
            schema_mode="merge",  # a feature that was added is a new column
            configuration={"delta.checkpointInterval": CHECKPOINT_COMMITS, **TOMBSTONES},
            storage_options=self._options,
            commit_properties=CommitProperties(
                custom_metadata={"userMetadata": _reach_of(plan)},
                app_transactions=[Transaction(plan.writer, plan.number)],
            ),
        )

    def _read_plan(self) -> Plan:
        found = self.spool.read_plan()
        if found is None:
            return Plan(writer=f"stream-{uuid.uuid4()}", number=0, folders=[], is_done=True)
        return Plan.model_validate_json(found)

    def _write_plan(self, plan: Plan) -> None:
        self.spool.write_plan(plan.model_dump_json().encode())


def _newest_of(plan: Plan) -> str:
    """Name the newest micro-batch that was archived; empty before the first."""
    return plan.folders[-1] if plan.folders else ""


def _reach_of(plan: Plan) -> str:
    """Name the newest micro-batch of a plan, as ``fraud.log`` reads it."""
    generation, epoch = (int(part) for part in plan.folders[-1].split("-"))
    return Reach(generation=generation, epoch=epoch, offsets=plan.offsets).model_dump_json()


def read_summaries(collected: Sequence[str]) -> list[dict[str, Any]]:
    """Read what the tasks of a micro-batch told the driver."""
    return [json.loads(summary) for summary in collected]
