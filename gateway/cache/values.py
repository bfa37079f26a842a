"""A kept answer as bytes, made so that a hit is written from it with next to no work: the JSON of the usual filters lies ready.

    head     magic, CRC-32 of all that follows, when it was kept (s since 1970), the four lengths
    facts    a line of what the log says, then one a call that the answer comes from; fields parted by tabs
    image    JSON of the picture
    usual    JSON of the detections that the default filters leave, in the features that were asked for
    whole    every detection, deflated JSON: [[confidence, {"feature": …}], …], the surest first

It is read only if every bit of it is as it was written.
"""

import functools
import json
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple, cast

from cost.money import Money
from gateway.outcome import AnsweredCall, CacheUse, Outcome
from gateway.wire.answer import ImageOut, detection_out
from gateway.wire.options import Options
from providers.contract import BoundingBox, Detection, Feature, Usage
from providers.images import Image

VALUE_BYTES_MAX = 1 << 20
"""A picture with thousands of detections is answered, not kept."""

_MAGIC = b"vgk1"
_HEAD = struct.Struct(">4sIIIIII")
_WHOLE_BYTES_MAX = 1 << 24
_USUAL = (Options().min_confidence, Options().max_results)
_PLAIN = frozenset(map(chr, range(0x20, 0x7F))) - {'"', "\\"}


class NotKept(ValueError):
    """An answer that can't be written as a value, or bytes that are none."""


class Kept(NamedTuple):
    """An answer as it was kept. A tuple, since one is made for every look.

    Attributes:
        features: that were asked for, as keys write them.
        kept_at: whole seconds since 1970.
        digest, width, height, format: of the picture that it was kept for.
        provider, model: whose answer it is.
        calls: that it comes from.
        found: how many detections `usual` has.
        image, usual, whole: see above.
    """

    features: str
    kept_at: int
    digest: str
    width: int
    height: int
    format: str
    provider: str
    model: str
    calls: tuple[AnsweredCall, ...]
    found: int
    image: bytes
    usual: bytes
    whole: bytes

    def for_image(self, image: Image) -> "Kept":
        """The same answer for other bytes of the same picture."""
        return self._replace(
            digest=image.digest, width=image.width, height=image.height, format=image.format, image=_image_json(image).encode()
        )

    def avoided(self, options: Options) -> Money:
        """What the calls for these features cost when they were made."""
        return sum((call.price for call in self.calls if call.features & set(options.features)), Money(0))

    def detections(self) -> tuple[Detection, ...]:
        """All of them."""
        return tuple(_detection(confidence, written) for confidence, written in self._all())

    def selected(self, options: Options, features: str) -> tuple[bytes, int]:
        """The JSON of what a client wants to see, and how many that are. The usual is ready."""
        if (options.min_confidence, options.max_results) == _USUAL and features == self.features:
            return self.usual, self.found
        wanted = [
            written
            for confidence, written in self._all()
            if written["feature"] in options.features and confidence >= options.min_confidence
        ]
        shown = wanted[: options.max_results]
        return json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode(), len(shown)

    def _all(self) -> list[tuple[float, dict[str, object]]]:
        unpacker = zlib.decompressobj()
        rows: list[tuple[float, dict[str, object]]] = json.loads(unpacker.decompress(self.whole, _WHOLE_BYTES_MAX))
        return rows


def keep(outcome: Outcome, features: str, kept_at: int) -> Kept:
    """An outcome as it is kept: whole, whatever its request wanted to see of it."""
    ordered = sorted(outcome.detections, key=lambda found: -found.confidence)
    rows = [(found.confidence, detection_out(found).model_dump(mode="json", exclude_none=True)) for found in ordered]
    usual = [row for confidence, row in rows if confidence >= _USUAL[0] and row["feature"] in outcome.options.features][: _USUAL[1]]
    image = outcome.image
    return Kept(
        features,
        kept_at,
        image.digest,
        image.width,
        image.height,
        image.format,
        outcome.provider or "",
        outcome.model or "",
        outcome.calls,
        len(usual),
        _image_json(image).encode(),
        _compact(usual),
        zlib.compress(_compact(rows), 1),
    )


def pack(kept: Kept) -> bytes:
    """As bytes.

    Raises:
        NotKept: more than `VALUE_BYTES_MAX`, or a name that would part a field.
    """
    lines = [(kept.features, kept.digest, kept.width, kept.height, kept.format, kept.provider, kept.model, kept.found)]
    lines += [_call_fields(call) for call in kept.calls]  # type: ignore[misc]
    facts = "\n".join("\t".join(map(str, line)) for line in lines).encode()
    if facts.count(b"\t") != sum(len(line) - 1 for line in lines) or facts.count(b"\n") != len(lines) - 1:
        raise NotKept("a name holds a tab or a line break")
    parts = (facts, kept.image, kept.usual, kept.whole)
    body = b"".join(parts)
    if len(body) > VALUE_BYTES_MAX:
        raise NotKept(f"{len(body)} bytes are more than {VALUE_BYTES_MAX}")
    lengths = [len(part) for part in parts]
    rest = _HEAD.pack(_MAGIC, 0, kept.kept_at, *lengths)[8:] + body
    return _MAGIC + zlib.crc32(rest).to_bytes(4, "big") + rest


def unpack(value: bytes) -> Kept:
    """What `pack` made.

    Raises:
        NotKept: it did not make that.
    """
    try:
        magic, crc, kept_at, facts_bytes, image_bytes, usual_bytes, whole_bytes = _HEAD.unpack_from(value)
        image_at = _HEAD.size + facts_bytes
        usual_at = image_at + image_bytes
        whole_at = usual_at + usual_bytes
        if magic != _MAGIC or crc != zlib.crc32(memoryview(value)[8:]) or len(value) != whole_at + whole_bytes:
            raise NotKept("another version, or damaged")  # noqa: TRY301 -- told like all the others
        first, *calls = value[_HEAD.size : image_at].decode().split("\n")
        features, digest, width, height, image_format, provider, model, found = first.split("\t")
        return Kept(
            features,
            kept_at,
            digest,
            int(width),
            int(height),
            image_format,
            provider,
            model,
            tuple(map(_call, calls)),
            int(found),
            value[image_at:usual_at],
            value[usual_at:whole_at],
            value[whole_at:],
        )
    except NotKept:
        raise
    except (struct.error, ValueError) as error:
        raise NotKept(str(error)) from error


def written(
    kept: Kept, options: Options, detections: bytes, *, answer_id: str, request_id: str, use: CacheUse, simulated: bool, latency_ms: float
) -> bytes:
    """The body of an answer from what was kept, in the order of `DetectionsOut`. Nothing is decoded."""
    if not _PLAIN.issuperset(request_id):
        request_id = json.dumps(request_id)[1:-1]
    after = (
        f',"cost_usd":"0","cache":"{use}","degraded":false,"simulated":{"true" if simulated else "false"},"dry_run":false,'
        f'"latency_ms":{latency_ms:.1f},"attempts":[],"routing":{{"strategy":"{options.strategy}","considered":[]}}}}'
    )
    return b"".join(
        (
            f'{{"id":"{answer_id}","request_id":"{request_id}","image":'.encode(),
            kept.image,
            b',"detections":',
            detections,
            f',"provider":{_quoted(kept.provider)},"model":{_quoted(kept.model)}{after}'.encode(),
        )
    )


def _call_fields(call: AnsweredCall) -> Sequence[object]:
    usage = ",".join(f"{one.units} {one.sku}" for one in call.usage)
    return call.provider, ",".join(sorted(call.features)), call.model, call.price.nanos, usage


_quoted = functools.lru_cache(maxsize=256)(json.dumps)


@functools.lru_cache(maxsize=1024)
def _call(line: str) -> AnsweredCall:
    provider, features, model, nanos, usage = line.split("\t")
    used = [one.partition(" ") for one in usage.split(",") if one]
    answered = cast("frozenset[Feature]", frozenset(features.split(",")))
    return AnsweredCall(provider, answered, model, tuple(Usage(sku, int(units)) for units, _, sku in used), Money(int(nanos)))


def _detection(confidence: float, written: dict[str, object]) -> Detection:
    box = written.get("box")
    return Detection(**{**written, "confidence": confidence, "box": None if box is None else BoundingBox(**box)})  # type: ignore[arg-type]


def _image_json(image: Image) -> str:
    return ImageOut(digest=image.digest, width=image.width, height=image.height, format=image.format).model_dump_json()


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
