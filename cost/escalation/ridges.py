"""Linear models of a state's features, and what they say of records that they have not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from cost.escalation.evidence import Floats
from cost.escalation.learning import FOLDS, Learning


class Ridges:
    """Ridge regressions on one state's features, each record as it counts. Those observed on the same records share the costly part."""

    def __init__(self, learning: Learning, x: Floats, usable: NDArray[np.bool_], ridge: Floats) -> None:
        """Regress on x (n, d), of which only usable rows are numbers, each weight pulled to zero by its ridge (d,)."""
        self._ridge = np.diag(ridge)
        self._n, self._rows = len(usable), np.flatnonzero(usable)
        self._x, self._fold, self._weight = x[self._rows], learning.fold[self._rows], learning.weight[self._rows, None]
        self._parts: dict[bytes, list[tuple[NDArray[np.intp], Floats]]] = {}

    def solve(self, y: Floats, observed: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """(d, g) weights that predict y (n, g), and (n, g) what weights that left a record out predict for it; NaN where not usable."""
        y, observed = y[self._rows], observed[self._rows]
        key = observed.tobytes()
        if key not in self._parts:
            self._parts[key] = [self._gram(np.flatnonzero(observed & (self._fold == k))) for k in range(FOLDS)]
        parts = self._parts[key]
        gram = sum(g for _, g in parts) + self._ridge
        moments = [self._x[rows].T @ (self._weight[rows] * y[rows]) for rows, _ in parts]
        moment = sum(moments)
        out = np.full((self._n, y.shape[1]), np.nan)
        for k, (_, part) in enumerate(parts):
            held = self._fold == k
            out[self._rows[held]] = self._x[held] @ linalg.solve(gram - part, moment - moments[k], assume_a="pos")
        return linalg.solve(gram, moment, assume_a="pos"), out

    def _gram(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
        return rows, self._x[rows].T @ (self._weight[rows] * self._x[rows])
