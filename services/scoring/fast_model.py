"""One row through LightGBM by its C interface: a tenth of the time of ``Booster.predict``, the same bits.

``LGBM_BoosterPredictForMatSingleRowFast`` keeps what a call needs between calls; the Python side of the
library has no way to it. Where it is missing, or does not give what the registered model gives, the plain
booster is used, and a metric says so.
"""

import ctypes
import logging
import threading
from typing import Any, Final

import numpy as np

from fraud.model.card import REASONS, Floats, ScoringModel

TOLERANCE: Final = 1e-6
"""Greatest difference from the registered model's probability that is accepted."""
PROBES: Final = 64
_RAW_SCORE, _CONTRIBUTIONS, _FLOAT64 = 1, 3, 1
log = logging.getLogger(__name__)


class FastModel:
    """The registered model, one row a call.

    Parameters
    ----------
    scoring
        As it was read from the registry.

    Attributes
    ----------
    is_fast
        Whether rows go by the C interface.
    """

    def __init__(self, scoring: ScoringModel) -> None:
        self.card = scoring.card
        self._scoring = scoring
        self._lock = threading.Lock()  # the C side keeps one row's buffers
        self._width = len(scoring.card.feature_names)
        try:
            self._margin = _SingleRow(scoring.booster, self._width, _RAW_SCORE, 1)
            self._parts = _SingleRow(scoring.booster, self._width, _CONTRIBUTIONS, self._width + 1)
            self.is_fast = self._is_equal()
        except (AttributeError, OSError) as error:
            log.warning("rows are scored by the plain booster: no fast call in this LightGBM: %s", error)
            self.is_fast = False

    def probability(self, vector: Floats) -> float:
        """Score one row, [1, features] in C order, as the registered model does."""
        if not self.is_fast:
            return float(self._scoring.predict(vector)[0])
        with self._lock:
            margin = self._margin(vector).copy()
        return float(self.card.calibration.apply(margin)[0])

    def reasons(self, vector: Floats) -> list[int]:
        """Find the features that raise one row's score most, the strongest first."""
        if self.is_fast:
            with self._lock:
                parts = self._parts(vector)[:-1].copy()
        else:
            parts = self._scoring.contributions(vector)[0]
        best = np.argsort(-parts, kind="stable")[:REASONS]
        return [int(i) for i in best if parts[i] > 0.0]

    def _is_equal(self) -> bool:
        """Compare both ways over rows of the range that the model was trained on."""
        rows = self._probes()
        expected = self._scoring.predict(rows)
        found = np.array([self.card.calibration.apply(self._margin(row[None]).copy())[0] for row in rows])
        apart = float(np.abs(found - expected).max())
        parts = np.array([self._parts(row[None])[:-1].copy() for row in rows[:4]])
        apart = max(apart, float(np.abs(parts - self._scoring.contributions(rows[:4])).max()))
        if apart > TOLERANCE:
            log.warning("rows are scored by the plain booster: the fast call differs by %g", apart)
        return apart <= TOLERANCE

    def _probes(self) -> Floats:
        draw = np.random.default_rng(0)
        rows = np.full((PROBES, self._width), np.nan)
        reference = self.card.reference
        for i, name in enumerate(self.card.feature_names):
            known = [value for value in reference.features.get(name, ()) if value is not None] or [0.0, 1.0]
            rows[:, i] = draw.uniform(min(known), max(known) + 1e-9, PROBES)
        rows[draw.random(rows.shape) < 0.1] = np.nan
        return rows


class _SingleRow:
    """One kind of prediction, prepared; returns a view that the next call overwrites."""

    def __init__(self, booster: Any, width: int, kind: int, outputs: int) -> None:
        import lightgbm  # noqa: PLC0415

        basic: Any = lightgbm.basic
        library = basic._LIB  # noqa: SLF001  (no public way to the C interface)
        self._call = library.LGBM_BoosterPredictForMatSingleRowFast
        self._free = library.LGBM_FastConfigFree
        self._booster = booster  # must outlive what was prepared from it
        self._handle = ctypes.c_void_p()
        self._width = width
        self._out = np.zeros(outputs)
        self._length = ctypes.c_int64()
        self._length_at = ctypes.byref(self._length)
        self._out_at = self._out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
        status = library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,  # noqa: SLF001
            ctypes.c_int(kind),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(width),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(self._handle),
        )
        if status:
            raise OSError(f"LightGBM answers {status}")

    def __call__(self, row: Floats) -> Floats:
        if self._call(self._handle, ctypes.c_void_p(row.ctypes.data), self._length_at, self._out_at):
            raise OSError("LightGBM does not score the row")
        return self._out

    def __del__(self) -> None:
        if self._handle:
            self._free(self._handle)
