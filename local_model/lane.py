"""One lane of the network as a process of its own, with a torch and a Python lock of its own. `lane_processes` starts it, and talks to it.

    python -m local_model.lane FD [TOML]

It reads batches from the socket FD, one at a time, and answers each in full. It ends when the other end does, or is killed by it, and at
nothing else: a signal to all of a service's processes must not end it before its starter has answered what waits.
"""

import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_model.batching import Overloaded
from local_model.cores import give_way
from local_model.memory import use_few_heaps
from local_model.messages import Facts, Failed, Gone, receive, send
from local_model.preprocess import BadPicture


def answered(predictor: Any, pictures: Sequence[Any]) -> list[Any] | Failed:
    """An answer a picture: its prediction, or the exception that is its alone. `Failed` where the network failed over all of them."""
    answers: list[Any] = [_prepared(predictor, picture) for picture in pictures]
    good = [place for place, square in enumerate(answers) if not isinstance(square, Exception)]
    try:
        found = predictor.parted(predictor.forward([answers[place] for place in good])) if good else []
        for place, candidates in zip(good, found, strict=True):
            answers[place] = _finished(predictor, candidates, answers[place])
    except Exception as error:  # noqa: BLE001 -- whatever a network raises is told to its own callers
        return Failed(f"{type(error).__name__}: {error}", predictor.ran_out_of_memory(error))
    return answers


def _prepared(predictor: Any, picture: Any) -> Any:
    try:
        return predictor.prepare(picture)
    except BadPicture as error:
        return error
    except MemoryError:
        return Overloaded("There is no memory for this picture now.")
    except Exception as error:  # noqa: BLE001 -- told to its own caller
        return RuntimeError(f"{type(error).__name__}: {error}")


def _finished(predictor: Any, candidates: Any, square: Any) -> Any:
    try:
        return predictor.finish(candidates, square)
    except Exception as error:  # noqa: BLE001 -- told to its own caller
        return RuntimeError(f"{type(error).__name__}: {error}")


def serve(peer: socket.socket, predictor: Any) -> None:
    """Answer batches until the other end is gone."""
    with suppress(Gone):
        send(peer, Facts(predictor.name, predictor.version, predictor.model, predictor.images_max))
        while True:
            send(peer, answered(predictor, receive(peer)))


def main() -> None:
    """Load, warm, serve."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    use_few_heaps()
    with socket.socket(fileno=int(sys.argv[1])) as peer:
        try:
            from local_model.predictor import Predictor  # noqa: PLC0415 -- torch

            predictor = Predictor.load("cpu", Path(sys.argv[2]) if sys.argv[2:] else None)
            predictor.warm()
        except Exception as error:  # noqa: BLE001 -- told to who waits for it
            with suppress(Gone):
                send(peer, Failed(str(error)))
            return
        give_way()  # from here on: who waits for a model to be loaded waits for this
        serve(peer, predictor)


if __name__ == "__main__":
    main()
