"""A report as one HTML file to send: styles and pictures are in it, and it opens without a network."""

import base64
from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.experiments.report import Report
from gateway.experiments.store import Experiment
from gateway.web import formats
from gateway.web.experiment_view import view_of
from gateway.web.gallery import gallery_of

PICTURES_MAX = 60
"""In the file, those that are disagreed about most: it is to be sent by mail."""


def report_file(experiment: Experiment, report: Report, jpeg: Callable[[str], bytes | None], *, simulated: bool = False) -> str:
    """The file's content.

    Args:
        experiment: as it stands.
        report: on it.
        jpeg: a picture by its digest, small; None where there is none.
        simulated: whether the clouds were stand-ins.
    """
    templates = Environment(
        loader=PackageLoader("gateway.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= formats.FILTERS
    gallery = gallery_of(experiment.terms, report.judged, size=PICTURES_MAX)
    pictures = {item.digest: content for item in gallery.items if (content := jpeg(item.digest)) is not None}
    return templates.get_template("experiment_file.html").render(
        experiment=experiment,
        report=view_of(report),
        gallery=gallery,
        pictures={digest: f"data:image/jpeg;base64,{base64.b64encode(content).decode()}" for digest, content in pictures.items()},
        styles="\n".join((files("gateway.web") / "static" / name).read_text(encoding="utf-8") for name in ("style.css", "experiments.css")),
        simulated=simulated,
    )
