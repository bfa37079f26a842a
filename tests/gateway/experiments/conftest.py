import time

import pytest

from cost.comparisons import ComparisonStore
from gateway.experiments import making
from gateway.experiments.live import LiveExperiments
from gateway.experiments.store import ExperimentStore
from gateway.ids import new_id
from gateway.metering import Bill
from gateway.pictures import KeptPictures
from gateway.wire.options import Options
from providers.images import ImageLimits, read_image
from tests.gateway.toys import jpeg


class Lab:
    """Experiments on toys, with a real ledger and database, and the words that tests use of them."""

    def __init__(self, toybox, *toys, kept_days=0, busy=8, **dispatcher):
        self.dispatcher = toybox.dispatcher(*toys, **dispatcher)
        self.ledger = toybox.ledgers[-1]
        self.behind = toybox.behind(*toys)
        self.store = ExperimentStore(toybox.database)
        self.pictures = KeptPictures(toybox.database, kept_days)
        self.comparisons = ComparisonStore(toybox.database)
        self.live = LiveExperiments(self.store, self.pictures, self.comparisons, self.ledger, self.dispatcher, self.behind, busy=busy)

    def run(self, terms):
        making.check(terms, self.dispatcher.lines)
        self.store.create(terms, "tester")
        making.start(terms.name, self.store, self.ledger)
        self.live.refresh()

    def ask(self, n=0, client="tester", **options):
        """The n-th picture, as the resource asks about it."""
        asked = Options(**options)
        image = read_image(jpeg(shade=n % 256, width=64 + n // 256), ImageLimits())
        bill = Bill(new_id(), client, asked.tags)
        kept = self.live.look(image.digest, asked, bill, lambda: image)
        return kept or self.live.detect(image, asked, bill, time.monotonic() + self.dispatcher.time_limit_s(asked))

    def settle(self):
        """Until everything behind the requests is done and written."""
        assert self.live.off_path.idle(60)
        self.live.refresh()

    def seen(self, name="trial"):
        return self.store.observations(name)

    def committed(self, name="experiment.trial"):
        return {status.budget.name: status.committed for status in self.ledger.budgets()}[name]

    def close(self):
        self.live.close()
        self.comparisons.close()


@pytest.fixture
def lab_of(toybox):
    made = []

    def make(*toys, **how):
        made.append(Lab(toybox, *toys, **how))
        return made[-1]

    yield make
    for lab in made:
        lab.close()
