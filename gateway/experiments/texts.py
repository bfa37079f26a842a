"""How alike two texts are, by edit distance."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CHARS_MAX = 2_000
"""Of a picture's whole text: comparing takes the product of two lengths."""

WORD_LIKENESS_MIN = 0.75
"""From here on two words are one, misread: one wrong letter in four."""


def edit_distance(one: str, other: str) -> int:
    """The fewest insertions, deletions and substitutions that make one text the other.

    Source: R. A. Wagner, M. J. Fischer, The string-to-string correction problem, 1974. A row at a time: of insertions, a running minimum.
    """
    if len(one) < len(other):
        one, other = other, one
    letters = np.array([ord(letter) for letter in other], dtype=np.int64)
    steps = np.arange(len(other) + 1)
    row = steps.copy()
    for n, letter in enumerate(one, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(letter)))
        row = np.minimum.accumulate(np.concatenate(([n], best)) - steps) + steps
    return int(row[-1])


def likeness(one: str, other: str) -> float:
    """1 for the same text, 0 where nothing is left of it; case and spacing don't count."""
    one, other = (" ".join(text.casefold().split())[:_CHARS_MAX] for text in (one, other))
    longer = max(len(one), len(other))
    return 1.0 - edit_distance(one, other) / longer if longer else 1.0


def words_of(texts: Sequence[str]) -> list[str]:
    """Every word, without the signs around it, in any case."""
    return [word for text in texts for word in re.findall(r"\w+", text.casefold())]


def word_likeness(found: Sequence[str], known: Sequence[str]) -> NDArray[np.float64]:
    """(found, known) how alike each two words are, in [0, 1]."""
    pairs = {(a, b): likeness(a, b) for a in set(found) for b in set(known)}
    return np.array([[pairs[a, b] for b in known] for a in found], dtype=np.float64).reshape(len(found), len(known))
