"""`/metrics` of the model server, in Prometheus' text form: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from collections.abc import Callable, Iterator, Sequence

from local_model.counts import Histogram
from local_model.models import Served


def text(served: Sequence[Served], *, up_s: float, reloads: int, reloads_failed: int) -> str:
    """Everything that is counted, a line a value, with the model's name and version."""
    lines = [
        *_of_each(served),
        *_plain("model_up_seconds_total", "counter", "Since the process began to serve.", up_s),
        *_plain("model_reloads_total", "counter", "Times that new weights took over.", reloads),
        *_plain("model_reloads_failed_total", "counter", "Times that they could not be loaded.", reloads_failed),
    ]
    return "\n".join(lines) + "\n"


def _of_each(served: Sequence[Served]) -> Iterator[str]:
    values: dict[str, tuple[str, str, Callable[[Served], float]]] = {
        "model_images_total": ("counter", "Pictures that batches were made of.", lambda one: one.batcher.counts.images),
        "model_batches_total": ("counter", "Batches that did.", lambda one: one.batcher.counts.batches),
        "model_failed_total": ("counter", "Pictures that could not be answered.", lambda one: one.batcher.counts.failed),
        "model_expired_total": ("counter", "Pictures dropped before the network: too late.", lambda one: one.batcher.counts.expired),
        "model_overloaded_total": ("counter", "Pictures refused: the queue was full.", lambda one: one.batcher.counts.overloaded),
        "model_out_of_memory_total": ("counter", "Batches split for memory.", lambda one: one.batcher.counts.out_of_memory),
        "model_forward_seconds_total": (
            "counter",
            "Time that batches took; where lanes are processes, all that these do.",
            lambda one: round(one.batcher.counts.forward_s, 6),
        ),
        "model_waiting": ("gauge", "Pictures that wait now.", lambda one: one.batcher.waiting),
        "model_images_per_second": ("gauge", "Over the last 10 s.", lambda one: round(one.batcher.counts.images_per_second, 3)),
        "model_batch_fill_ratio": ("gauge", "Pictures over places, last 10 s.", lambda one: round(one.batcher.counts.batch_fill, 4)),
        "model_gpu_memory_bytes": ("gauge", "Held of the GPU's memory; 0 on a CPU.", lambda one: one.predictor.gpu_memory_bytes()),
    }
    for name, (kind, meaning, value) in values.items():
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} {kind}"
        for one in served:
            yield f"{name}{{{_labels(one)}}} {value(one)}"
    yield from _histograms(
        "model_queue_seconds", "From a picture's coming to its batch.", [(one, one.batcher.counts.queue_s) for one in served]
    )
    yield from _histograms("model_batch_images", "Pictures a batch.", [(one, one.batcher.counts.batch_images) for one in served])


def _histograms(name: str, meaning: str, of_each: Sequence[tuple[Served, Histogram]]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} histogram"
    for one, histogram in of_each:
        labels = _labels(one)
        for bound, count in zip(histogram.bounds, histogram.buckets, strict=True):
            yield f'{name}_bucket{{{labels},le="{bound}"}} {count}'
        yield f'{name}_bucket{{{labels},le="+Inf"}} {histogram.count}'
        yield f"{name}_sum{{{labels}}} {round(histogram.total, 6)}"
        yield f"{name}_count{{{labels}}} {histogram.count}"


def _labels(one: Served) -> str:
    return f'model="{_escaped(one.predictor.name)}",version="{_escaped(one.predictor.version)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _plain(name: str, kind: str, meaning: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    yield f"{name} {round(value, 3)}"
