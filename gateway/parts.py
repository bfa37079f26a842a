"""What the resources are made of."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from cost.comparisons import ComparisonStore
from cost.ledger import Ledger
from cost.price_sheets import PriceBook
from gateway.alerts import AlertSender
from gateway.answers import AnswerStore
from gateway.batches import BatchThreads
from gateway.dispatch import Dispatcher
from gateway.experiments.live import LiveExperiments
from gateway.experiments.store import ExperimentStore
from gateway.exploring import Explorer
from gateway.keys import Keys
from gateway.limits import RateLimits
from gateway.monitoring.canary import CanarySchedule
from gateway.monitoring.model import ModelNumbers
from gateway.monitoring.money import MoneyNumbers
from gateway.monitoring.process import ProcessNumbers
from gateway.monitoring.quality import QualityNotes
from gateway.monitoring.tracing import Tracing
from gateway.monitoring.watch import QualityWatch
from gateway.pacing import Pacing
from gateway.pictures import KeptPictures
from gateway.policies import Policies
from gateway.reads import BoundedReads
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.fetch import ImageFetcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Made after fork, once a process, shared by its threads."""

    settings: Settings
    database: sa.Engine
    keys: Keys
    ledger: Ledger
    prices: PriceBook
    dispatcher: Dispatcher
    fetcher: "ImageFetcher | None"
    alerts: AlertSender
    reads: BoundedReads
    comparisons: ComparisonStore
    pictures: KeptPictures
    experiments: ExperimentStore
    live: LiveExperiments
    money_numbers: MoneyNumbers
    process_numbers: ProcessNumbers
    answers: AnswerStore
    quality: QualityNotes
    watch: QualityWatch
    canary: CanarySchedule | None
    model_numbers: ModelNumbers | None
    batches: BatchThreads
    tracing: Tracing | None
    policies: Policies
    pacing: Pacing
    explorer: Explorer | None
    limits: RateLimits

    def close(self) -> None:
        """Let running calls end, then let go of everything."""
        if self.fetcher:
            self.fetcher.close()
        self.alerts.close()
        if self.canary:
            self.canary.close()
        self.process_numbers.close()
        if self.model_numbers:
            self.model_numbers.close()
        if self.explorer:
            self.explorer.close()
        self.live.close()
        self.batches.close()
        self.dispatcher.close()
        self.limits.close()
        self.policies.close()
        self.pacing.close()
        self.comparisons.close()
        self.answers.close()
        self.quality.close()
        self.watch.close()
        self.ledger.close()
        if self.tracing:
            self.tracing.close()
        self.reads.close()
        self.database.dispose()
