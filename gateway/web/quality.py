"""`/quality`: whether pictures and answers are what they were, and the pictures that moved them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from flask import Response, request

from gateway.errors import NotFound
from gateway.keys import Role
from gateway.monitoring.drift import FALSE_ALARMS_A_MONTH, PROPERTIES, WINDOWS, Shift, is_alarming
from gateway.monitoring.watch import Alarm, Stream
from gateway.web.page import Page, see

_READERS: frozenset[Role] = frozenset({"app", "finance"})
_SHOWN = 8
"""Pictures an alarm."""

_WORDS: dict[str, tuple[str, Callable[[float], str]]] = {
    "size": ("size", lambda value: f"{2**value / 1e6:.2f} megapixels"),
    "aspect": ("width over height", lambda value: f"{2**value:.2f}"),
    "boxes": ("boxes a picture", lambda value: f"{value:g}"),
}


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm as the page tells it.

    Attributes:
        sentence: what has moved, from what to what.
        kept: digests of its pictures that may be shown.
    """

    alarm: Alarm
    sentence: str
    kept: tuple[str, ...]


class QualityPage(Page):
    """What has moved."""

    roles: ClassVar[frozenset[Role]] = _READERS
    title: ClassVar[str] = "Quality"
    word: ClassVar[str] = "Quality"

    def get(self) -> Response:
        """Show it."""
        watch, pictures = self.parts.watch, self.parts.pictures
        alarms, streams = watch.alarms(), watch.streams()
        kept = pictures.known([digest for alarm in alarms for digest in alarm.told.get("moved", ())]) if pictures.days else set()
        shown = [
            AlarmView(alarm, sentence(alarm), tuple(digest for digest in alarm.told.get("moved", ()) if digest in kept)[:_SHOWN])
            for alarm in sorted(alarms, key=_place)
        ]
        return self.page(
            "quality.html",
            open=[one for one in shown if one.alarm.ended_at is None],
            ended=[one for one in shown if one.alarm.ended_at is not None],
            streams=streams,
            watched=any(one.watched for one in streams),
            months=round(1 / FALSE_ALARMS_A_MONTH),
            properties=PROPERTIES,
            cell=_cell,
            alarming=is_alarming,
            reference=self.parts.settings.drift_reference,
            window=WINDOWS[0],
            kept_days=pictures.days,
        )

    def post(self) -> Response:
        """Accept what a provider's pictures and answers are now."""
        provider, feature = request.form.get("provider", ""), request.form.get("feature", "")
        if not any((one.provider, one.feature) == (provider, feature) for one in self.parts.watch.streams()):
            raise NotFound("There is nothing watched of that provider and feature.")
        self.parts.watch.accept(provider, feature)
        return see("/quality")


class QualityPicture(Page):
    """One of the pictures that moved something."""

    roles: ClassVar[frozenset[Role]] = _READERS
    title: ClassVar[str] = "Picture"

    def get(self, digest: str) -> Response:
        """Show it, where it is kept and an alarm names it."""
        named = any(digest in alarm.told.get("moved", ()) for alarm in self.parts.watch.alarms())
        jpeg = self.parts.pictures.get(digest) if named else None
        if jpeg is None:
            raise NotFound("This picture is not kept.")
        return Response(jpeg, mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=600"})


def sentence(alarm: Alarm) -> str:
    """What has moved, in words."""
    told = alarm.told
    if alarm.kind == "canary":
        return str(told["summary"])
    if alarm.name == "labels":
        now, before = (f"{told[one] * 100:.0f} %" for one in ("now", "before"))
        return f"“{told['label']}” is on {now} of the latest {told['window']} pictures; it was on {before}."
    name, write = _WORDS.get(alarm.name, (alarm.name, lambda value: f"{value:.2f}"))
    return f"The median {name} of the latest {told['window']} pictures is {write(told['now'])}; it was {write(told['before'])}."


def _place(alarm: Alarm) -> tuple[int, str, str, int]:
    """The latest first; what was noticed together in the order of the table."""
    place = PROPERTIES.index(alarm.name) if alarm.name in PROPERTIES else -1
    return -int(alarm.at.timestamp()), alarm.provider, alarm.feature, place


def _cell(stream: Stream, name: str) -> Shift | None:
    return next((one for one in stream.latest if one.name == name), None)
