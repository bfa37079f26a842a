"""Comparison records: the same picture answered by several providers. What `tune`, `backtest` and experiments read.

One record is one picture: who answered what, how surely, where, how fast, for how much; and what is known of the truth. No pixels in it.
"""

from cost.comparisons.store import ComparisonStore, UnknownComparison
from cost.comparisons.terms import BadComparison, Comparison, Found, Origin, Reply

__all__ = ["BadComparison", "Comparison", "ComparisonStore", "Found", "Origin", "Reply", "UnknownComparison"]
