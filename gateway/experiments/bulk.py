"""A folder of pictures shown to several providers: the cost told first, under a hard ceiling, to be gone on with after any interruption."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from cost.comparisons import ComparisonStore
from cost.ledger import Ledger
from cost.ledger.times import new_id
from cost.price_sheets import NotRoutable, Priced
from gateway.dispatch import Dispatcher
from gateway.experiments.asking import BudgetSpent, NotNow, ask, budget_of
from gateway.experiments.datasets import Truths
from gateway.experiments.records import records_of
from gateway.experiments.store import Experiment, ExperimentStore, NoExperiment
from gateway.experiments.terms import ArmAnswer, Observation, Terms
from gateway.pictures import KeptPictures, small_jpeg
from providers.contract import Detection
from providers.images import Image, ImageError, ImageLimits, read_image


class OtherTerms(ValueError):
    """A comparison of this name compares something else."""


class Unpriced(ValueError):
    """What a provider would cost is not known."""


class BulkComparison:
    """One comparison of files. Whatever was answered before is not asked again."""

    def __init__(
        self,
        store: ExperimentStore,
        comparisons: ComparisonStore,
        pictures: KeptPictures,
        ledger: Ledger,
        dispatcher: Dispatcher,
        limits: ImageLimits,
    ) -> None:
        self._store, self._comparisons, self._pictures = store, comparisons, pictures
        self._ledger, self._dispatcher, self._limits = ledger, dispatcher, limits
        self.files: dict[str, Path] = {}
        self.refused: dict[Path, str] = {}
        self._truths: dict[str, tuple[Detection, ...]] = {}

    def look(self, files: Sequence[Path], seen: Callable[[], object] = lambda: None) -> None:
        """Read every file once: `files` by digest, each picture once, and what is no picture in `refused`. `seen` is called for each."""
        for path in files:
            try:
                self.files.setdefault(read_image(path.read_bytes(), self._limits).digest, path)
            except (ImageError, OSError) as error:
                self.refused[path] = str(error)
            seen()

    def open(self, terms: Terms, truths: Truths, created_by: str) -> Experiment:
        """Make the comparison, or go on with it, perhaps under another ceiling.

        Raises:
            OtherTerms: one of this name compares something else.
        """
        try:
            known = self._store.get(terms.name)
        except NoExperiment:
            self._store.create(terms, created_by, truths.labels)
            experiment = self._store.start(terms.name)
        else:
            if replace(known.terms, budget=None) != replace(terms, budget=None):
                raise OtherTerms(f"{terms.name!r} has compared something else. Choose another name.")
            experiment = self._store.reopen(terms)
        self._truths = {digest: truths.things[path.name] for digest, path in self.files.items() if path.name in truths.things}
        self._store.tell_truths(terms.name, self._truths)
        return experiment

    def to_ask(self, terms: Terms) -> dict[str, list[str]]:
        """The arms that have not answered yet, by arm: the digests."""
        known = {one.digest: one.answers for one in self._store.observations(terms.name, limit=len(self.files) + 1)}
        return {arm.name: [digest for digest in self.files if not _answered(known.get(digest, {}), arm.name)] for arm in terms.arms}

    def price(self, terms: Terms, to_ask: dict[str, list[str]]) -> dict[str, Priced]:
        """What that will cost, by arm: exact at this moment's month-to-date units, tiers and free units included; and the list price.

        Raises:
            Unpriced: see there.
        """
        prices = {}
        for arm in terms.arms:
            line = self._dispatcher.lines[arm.providers[0]]
            usage: dict[str, int] = {}
            for call in line.provider.calls(frozenset(terms.features)) if line.paid and to_ask[arm.name] else ():
                for one in call.usage:
                    usage[one.sku] = usage.get(one.sku, 0) + one.units * len(to_ask[arm.name])
            priced = self._ledger.price(line.name, usage) if usage else None
            if isinstance(priced, NotRoutable):
                raise Unpriced(f"{line.name}: {priced.reason}")
            prices[arm.name] = priced or Priced(())
        return prices

    def run(self, experiment: Experiment, parallel: int) -> Iterator[str]:
        """Ask what is still to be asked, so many pictures at a time; the digest of each picture as it is done.

        Raises:
            BudgetSpent, NotNow: there is no money for more. What was answered is kept.
        """
        terms = experiment.terms
        budget = budget_of(terms)
        if budget is not None:
            self._ledger.put_budget(budget)
        known = {one.digest: one for one in self._store.observations(terms.name, limit=len(self.files) + 1)}
        waiting = [digest for digest in self.files if not all(_answered(_answers(known, digest), arm.name) for arm in terms.arms)]
        yield from (digest for digest in self.files if digest not in set(waiting))
        with ThreadPoolExecutor(parallel, thread_name_prefix="compare") as pool:
            running: dict[Future[Observation], str] = {}
            try:
                while waiting or running:
                    while waiting and len(running) < parallel:
                        digest = waiting.pop(0)
                        running[pool.submit(self._ask, terms, digest, _answers(known, digest))] = digest
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        digest = running.pop(done)
                        self._keep(terms, done.result())
                        yield digest
            finally:
                for late in running:  # they are paid: what they bring is kept
                    if not late.cancel() and late.exception() is None:
                        self._keep(terms, late.result())

    def picture(self, digest: str) -> Image:
        """A picture of the comparison."""
        return read_image(self.files[digest].read_bytes(), self._limits)

    def _ask(self, terms: Terms, digest: str, known: dict[str, ArmAnswer]) -> Observation:
        image = self.picture(digest)
        answers = {name: answer for name, answer in known.items() if not answer.error}
        try:
            for arm in terms.arms:
                if arm.name not in answers:
                    answers[arm.name] = ask(self._dispatcher, image, terms, arm)
        except (BudgetSpent, NotNow):
            if len(answers) > len(known):  # what was paid is not asked again
                self._store.add([(terms.name, new_id(), _observation(image, answers))], replace=True)
            raise
        if self._pictures.days:
            self._pictures.keep({digest: small_jpeg(image)})
        return _observation(image, answers)

    def _keep(self, terms: Terms, observation: Observation) -> None:
        id_ = new_id()
        self._store.add([(terms.name, id_, observation)], replace=True)
        whole = replace(observation, truth=self._truths.get(observation.digest))
        self._comparisons.write(list(records_of(terms, whole, id_, "compare")))


def _observation(image: Image, answers: dict[str, ArmAnswer]) -> Observation:
    return Observation(image.digest, image.digest[:16], image.width, image.height, answers)


def _answers(known: dict[str, Observation], digest: str) -> dict[str, ArmAnswer]:
    return dict(known[digest].answers) if digest in known else {}


def _answered(answers: object, arm: str) -> bool:
    return isinstance(answers, dict) and arm in answers and not answers[arm].error
