"""A property that is made once an instance, however many threads ask for it."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Once(Generic[T]):
    """`functools.cached_property` with one lock an instance.

    The library's own has one lock for ALL instances in Python 3.11 (one decode at a time in a process) and none from 3.12 on (each thread
    decodes for itself). Source: https://docs.python.org/3/library/functools.html#functools.cached_property
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "Once[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> "Once[T] | T":
        if instance is None:
            return self
        kept = instance.__dict__  # found there before this is asked again: it has no __set__
        with kept.setdefault("_once", threading.RLock()):
            if self._name not in kept:
                kept[self._name] = self._make(instance)
            value: T = kept[self._name]
        return value

    def forget(self, instance: object) -> None:
        """Let it be made anew when it is next asked for. Who has it keeps it."""
        with instance.__dict__.setdefault("_once", threading.RLock()):
            instance.__dict__.pop(self._name, None)
