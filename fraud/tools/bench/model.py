"""How long a model takes for a row: our evaluator, LightGBM's booster, and LightGBM's call for single rows.

The model is LightGBM's on drawn transactions, with the parameters of ``fraud train``. All ways take the same
rows in turn, in one process, and what they give is compared. Times are processor time of one thread; the
booster with two threads is timed by the clock. The evaluator has one thread.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import lightgbm
import numpy as np

from fraud.errors import FraudError
from fraud.features.batch import compute_features
from fraud.learn.fit import PARAMETERS
from fraud.model.trees import open_trees
from fraud.model.trees.fast import TOLERANCE
from fraud.model.trees.text import Floats
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import Machine, describe_machine

EVALUATOR: Final = "evaluator"
BOOSTER: Final = "booster"
PAIR: Final = "booster, two threads"
SINGLE: Final = "single"
BATCHES: Final = (1, 10, 100, 1_000, 20_000)
MOST_SINGLE: Final = 1_000
"""Rows that are given one by one, at most."""
EXPLAINED: Final = (1, 100)
ROUND_ROWS: Final = 200
"""Rows of one timing, at least."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    transactions: int = 60_000
    trees: int = 589
    leaves: int = int(PARAMETERS["num_leaves"])
    depth: int = int(PARAMETERS["max_depth"])
    repeats: int = 9


@dataclass(frozen=True, slots=True)
class Timing:
    """One way with one number of rows."""

    work: str
    """``score`` or ``contributions``."""
    way: str
    rows: int
    least_us: float
    """A row, best of the repeats."""
    median_us: float


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What one run measured."""

    machine: Machine
    sizes: Sizes
    load_ms: float
    """To read the trees and to check them, once the code is compiled."""
    apart: float
    """Greatest difference of a contribution from LightGBM's; the scores have none."""
    timings: list[Timing] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def find(self, work: str, way: str, rows: int) -> Timing | None:
        """Look one timing up."""
        wanted = work, way, rows
        return next((one for one in self.timings if (one.work, one.way, one.rows) == wanted), None)


def measure_model(sizes: Sizes, tell: Callable[[str], None]) -> ModelFigures:
    """Measure one model.

    Parameters
    ----------
    sizes
        Of the data, of the model, of the measurement.
    tell
        Takes words of progress.

    Raises
    ------
    FraudError
        When the evaluator does not take the model, or does not give LightGBM's score bit for bit.
    """
    machine = describe_machine()
    tell(f"drawing {sizes.transactions:,} transactions")
    vectors, is_fraud = _draw(sizes.transactions)
    tell(f"fitting {sizes.trees} trees of {sizes.leaves} leaves")
    booster = _fit(vectors, is_fraud, sizes)
    trees = open_trees(booster)
    if trees is None:
        raise FraudError("the evaluator does not take this model; the log says why")
    started = time.perf_counter()
    open_trees(booster)
    load_ms = (time.perf_counter() - started) * 1e3
    if not np.array_equal(trees.margin(vectors), booster.predict(vectors, raw_score=True)):
        raise FraudError("the evaluator and LightGBM give different scores")
    some = vectors[-EXPLAINED[-1] :]
    parts = np.asarray(booster.predict(some, pred_contrib=True, num_threads=1))[:, :-1]
    apart = float(np.abs(trees.contributions(some) - parts).max())
    if apart > TOLERANCE:
        raise FraudError(f"the evaluator's contributions differ from LightGBM's by {apart:g}")
    figures = ModelFigures(machine, sizes, load_ms, apart)
    single = _single_row(booster, len(deployed_schema().features))
    scores: dict[str, Callable[[Floats], Any]] = {
        EVALUATOR: trees.margin,
        BOOSTER: lambda rows: booster.predict(rows, raw_score=True, num_threads=1),
        PAIR: lambda rows: booster.predict(rows, raw_score=True, num_threads=2),
        SINGLE: lambda rows: [single(row) for row in rows],
    }
    explain: dict[str, Callable[[Floats], Any]] = {
        EVALUATOR: trees.contributions,
        BOOSTER: lambda rows: booster.predict(rows, pred_contrib=True, num_threads=1),
    }
    for work, ways, batches in (("score", scores, BATCHES), ("contributions", explain, EXPLAINED)):
        for rows in batches:
            tell(f"{work}: {rows:,} rows")
            chosen = {way: act for way, act in ways.items() if way != SINGLE or rows <= MOST_SINGLE}
            given = np.ascontiguousarray(vectors[np.arange(rows) % len(vectors)])
            figures.timings.extend(_time(work, chosen, given, sizes.repeats))
    return figures


def _time(work: str, ways: dict[str, Callable[[Floats], Any]], rows: Floats, repeats: int) -> list[Timing]:
    """Time all ways in turn, repeatedly, so that others' work on the machine hits all alike."""
    calls = max(1, (ROUND_ROWS if work == "score" else EXPLAINED[-1]) // len(rows))
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, act in ways.items():
            clock = time.perf_counter if way == PAIR else time.process_time
            started = clock()
            for _ in range(calls):
                act(rows)
            seconds[way].append((clock() - started) / calls / len(rows) * 1e6)
    return [
        Timing(work, way, len(rows), round(min(found), 2), round(float(np.median(found)), 2))
        for way, found in seconds.items()
    ]


def _draw(count: int) -> tuple[Floats, np.ndarray]:
    settings = GeneratorSettings(
        transactions=count, users=max(count // 10, 100), merchants=max(count // 40, 50), seed=5
    )
    data = generate(settings, deployed_schema())
    known = dict(
        zip(
            data.labels.column("transaction_id").to_pylist(),
            data.labels.column("is_fraud").to_pylist(),
            strict=True,
        )
    )
    ids = data.transactions.column("transaction_id").to_pylist()
    return compute_features(data.transactions).vectors, np.array([bool(known.get(one)) for one in ids])


def _fit(vectors: Floats, is_fraud: np.ndarray, sizes: Sizes) -> lightgbm.Booster:
    parameters = {
        **PARAMETERS,
        "num_leaves": sizes.leaves,
        "max_depth": sizes.depth,
        "seed": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(
        vectors,
        is_fraud,
        categorical_feature=[
            index for index, feature in enumerate(deployed_schema().features) if feature.is_categorical
        ],
        params={"max_bin": PARAMETERS["max_bin"], "verbosity": -1, "feature_pre_filter": False},
    )
    return lightgbm.Booster(model_str=lightgbm.train(parameters, data, sizes.trees).model_to_string())


def _single_row(booster: lightgbm.Booster, width: int) -> Callable[[Floats], float]:
    """Prepare LightGBM's call for single rows, which its Python side does not have."""
    basic: Any = lightgbm.basic
    library = basic._LIB  # noqa: SLF001  (no public way to the C interface)
    handle, out, length = ctypes.c_void_p(), np.zeros(1), ctypes.c_int64()
    status = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,  # noqa: SLF001
        ctypes.c_int(1),  # raw score
        ctypes.c_int(0),
        ctypes.c_int(-1),
        ctypes.c_int(1),  # float64
        ctypes.c_int32(width),
        ctypes.c_char_p(b"num_threads=1"),
        ctypes.byref(handle),
    )
    if status:
        raise FraudError(f"LightGBM's call for single rows cannot be prepared: status {status}")
    length_at, out_at = ctypes.byref(length), out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))

    def score(row: Floats) -> float:
        library.LGBM_BoosterPredictForMatSingleRowFast(
            handle, ctypes.c_void_p(row.ctypes.data), length_at, out_at
        )
        return float(out[0])

    return score
