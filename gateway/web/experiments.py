"""`/experiments`: which provider is better on our own pictures, and the pictures on which they differ."""

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from flask import Response, g, request

from gateway.errors import InvalidParameter, NotFound
from gateway.experiments.asking import spent
from gateway.experiments.judging import BadVerdict, judge
from gateway.experiments.store import Experiment, NoExperiment
from gateway.keys import Role
from gateway.web.page import Page
from providers.contract import Feature

if TYPE_CHECKING:
    from gateway.experiments.report import Report

_ROLES: frozenset[Role] = frozenset({"app", "finance"})
_SCRIPT = "gallery"
"""What our own script says of itself, to get the new numbers in place of a whole page."""


class Experiments(Page):
    """All of them."""

    roles: ClassVar[frozenset[Role]] = _ROLES
    title: ClassVar[str] = "Experiments"
    word: ClassVar[str] = "Experiments"

    def get(self) -> Response:
        """List them."""
        pictures, budgets = self.parts.experiments.counts(), self.parts.ledger.budgets()
        rows = [(one, pictures.get(one.name, 0), spent(budgets, one.terms)) for one in self.parts.experiments.all()]
        return self.page("experiments.html", rows=rows, address=request.host_url.rstrip("/"))


class _OneExperiment(Page):
    roles: ClassVar[frozenset[Role]] = _ROLES
    title: ClassVar[str] = "Experiment"

    def _found(self, name: str) -> Experiment:
        try:
            return self.parts.experiments.get(name)
        except NoExperiment as error:
            raise NotFound(str(error)) from error

    def _report(self, experiment: Experiment) -> "Report":
        from gateway.experiments.reporting import make_report  # noqa: PLC0415 -- scipy, which only reports need

        asked = request.args.get("feature") or experiment.terms.features[0]
        feature: Feature | None = next((one for one in experiment.terms.features if one == asked), None)
        if feature is None:
            raise InvalidParameter("feature", f"feature: this experiment compares {', '.join(experiment.terms.features)}.")
        return make_report(self.parts.experiments, experiment, feature)


class ExperimentPage(_OneExperiment):
    """One of them: the verdict, what it rests on, and the pictures."""

    def get(self, name: str) -> Response:
        """Show it."""
        from gateway.web.experiment_view import view_of  # noqa: PLC0415 -- scipy, which only reports need
        from gateway.web.gallery import gallery_of  # noqa: PLC0415

        experiment = self._found(name)
        report = self._report(experiment)
        label, page = request.args.get("label", ""), request.args.get("page", "1")
        gallery = gallery_of(experiment.terms, report.judged, label=label, page=int(page) if page.isdecimal() and len(page) < 9 else 1)
        return self.page(
            "experiment.html",
            experiment=experiment,
            feature=report.feature,
            report=view_of(report),
            gallery=gallery,
            kept=self.parts.pictures.known([item.digest for item in gallery.items]),
            keeps=self.parts.pictures.days,
            spent=spent(self.parts.ledger.budgets(), experiment.terms),
        )

    def post(self, name: str) -> Response:
        """Note who is right about a picture; the new verdict and numbers for our script, the page again for everybody else."""
        from gateway.web.experiment_view import view_of  # noqa: PLC0415 -- scipy, which only reports need

        experiment, form = self._found(name), request.form
        right = {"all": [arm.name for arm in experiment.terms.arms], "none": [], "undo": None}.get(
            form.get("say", ""), form.getlist("right")
        )
        digest = form.get("digest", "")
        back = Response(status=303, headers={"Location": f"{request.full_path.rstrip('?')}#picture-{quote(digest)}"})
        if form.get("say") == "forget":
            self.parts.pictures.delete(digest)
            return back
        try:
            judge(self.parts.experiments, self.parts.comparisons, experiment, digest, right, g.key.name)
        except (BadVerdict, NoExperiment) as error:
            raise InvalidParameter("right", str(error)) from error
        if form.get("from") == _SCRIPT:
            return self.page("experiment_summary.html", report=view_of(self._report(experiment)), experiment=experiment)
        return back


class ExperimentPicture(_OneExperiment):
    """A kept picture of one of them."""

    title: ClassVar[str] = "Picture"

    def get(self, name: str, digest: str) -> Response:
        """Send it."""
        jpeg = self.parts.pictures.get(digest) if self.parts.experiments.ids(self._found(name).name, digest) else None
        if jpeg is None:
            raise NotFound("This picture is not kept.")
        return Response(jpeg, mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=600"})
