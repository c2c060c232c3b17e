"""The profile that a model is registered with: its latest days, as it would have seen them live."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fraud.features.passes import passes_of_schema
from fraud.learn.examples import Bools, Examples, Micros, Split
from fraud.learn.fit import Validation
from fraud.model.card import Floats, ScoringModel
from fraud.schema.fields import FieldType
from fraud.schema.schema import Schema
from fraud.watch.profile import (
    DAY_US,
    PROFILE_FILE,
    SCORE,
    SCORE_LEVELS,
    Profile,
    Tally,
    number_column,
    text_column,
)

DAYS: Final = 56
"""Days of a profile, at most: eight of each weekday."""
FEWEST_DAYS: Final = 28
FEWEST_SCORED_DAYS: Final = 14


def make_profile(
    examples: Examples,
    transactions: pa.Table,
    split: Split,
    model: ScoringModel,
    validation: Validation | None,
    *,
    until_us: int,
) -> Profile:
    """Count the last whole days before a moment.

    Parameters
    ----------
    examples
        All of them, also those that are not trained on: neither features nor scores need a label.
    transactions
        The raw table, for its text columns.
    split, model, validation
        The training, for scores of what it has not seen.
    until_us
        The moment, microseconds since 1970 UTC: when the model goes live.
    """
    schema = examples.schema
    days = profile_days(examples.event_us, until_us, warm_up_days(schema))
    recent = within(examples.event_us, days)
    vectors, event_us = examples.vectors[recent], examples.event_us[recent]
    score = unseen_scores(model, examples, split, validation, until_us)[recent]
    is_scored = ~np.isnan(score)
    features = {name: vectors[:, at] for at, name in enumerate(schema.feature_names)}
    columns = [number_column(name, values) for name, values in features.items()]
    columns.append(number_column(SCORE, score, SCORE_LEVELS))
    times = np.asarray(transactions["event_time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy())
    chosen = within(times, days)
    fields = text_fields(transactions.filter(pa.array(chosen)), schema)
    columns += [text_column(name, values) for name, values in fields.items()]
    tally = Tally(columns, days)
    tally.add(event_us, features)
    tally.add(event_us[is_scored], {SCORE: score[is_scored]})
    tally.add(times[chosen], fields)
    tally.add_times(event_us)
    return tally.profile()


def warm_up_days(schema: Schema) -> int:
    """Count the data's first days, in which windows fill; they are left out where enough days remain."""
    return max(one.plan.tiling.lengths_us[-1] for one in passes_of_schema(schema)) // DAY_US


def profile_days(event_us: Micros, until_us: int, warm_up: int) -> range:
    """Choose the whole days that end before a moment, since 1970 UTC; ``warm_up`` is in days."""
    last = until_us // DAY_US
    first = -(-int(event_us.min()) // DAY_US)
    settled = first + warm_up
    begin = settled if last - settled >= FEWEST_DAYS else first
    return range(min(max(begin, last - DAYS), last), last)


def within(event_us: Micros, days: range) -> Bools:
    """Which rows lie in the days."""
    return (event_us >= days.start * DAY_US) & (event_us < days.stop * DAY_US)


def text_fields(table: pa.Table, schema: Schema) -> dict[str, Any]:
    """Take the categories of a schema that a table has."""
    names = (field.name for field in schema.named(FieldType.CATEGORY))
    return {name: table[name].combine_chunks() for name in names if name in table.column_names}


def unseen_scores(
    model: ScoringModel, examples: Examples, split: Split, validation: Validation | None, until_us: int
) -> Floats:
    """Score what the training did not see; NaN elsewhere.

    That is the time from the training period's end to the moment, where it is long enough; else the blocks
    that the validation held back, as its models scored them.
    """
    score = np.full(len(examples), np.nan)
    first_us, last_us = int(split.train.event_us.min()), int(split.train.event_us.max())
    if until_us - last_us >= FEWEST_SCORED_DAYS * DAY_US or validation is None:
        later = (examples.event_us > last_us) & (examples.event_us < until_us)
        score[later] = model.predict(examples.vectors[later])
        return score
    trained = np.flatnonzero((examples.event_us >= first_us) & (examples.event_us <= last_us))
    score[trained[validation.rows]] = model.card.calibration.apply(validation.margin)
    return score


def write_profile(profile: Profile, folder: Path) -> Path:
    """Write a profile into a folder that exists."""
    path = folder / PROFILE_FILE
    path.write_text(profile.model_dump_json() + "\n", encoding="utf-8")
    return path
