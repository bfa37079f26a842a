from gateway.monitoring.exposition import exposition
from gateway.monitoring.model import ModelNumbers
from providers.local import Local
from tests.waiting import until


class Filled:
    model = "toy"

    def batch_fill(self):
        return 0.625


def test_how_full_the_models_batches_are_is_told():
    numbers = ModelNumbers(Local(Filled()), every_s=0.01)
    until(lambda: b"gateway_model_batch_fill 0.625" in exposition("")[0], within_s=30)
    numbers.close()
    assert b"gateway_model_batch_fill 0.625" in exposition("")[0]


class Hiccups:
    """Fails the first time, as a model's server does that is started again."""

    model = "toy"
    asked = 0

    def batch_fill(self):
        self.asked += 1
        if self.asked == 1:
            raise ConnectionError("started again")
        return 0.375


def test_it_is_told_again_after_the_model_could_not_be_asked():
    numbers = ModelNumbers(Local(Hiccups()), every_s=0.01)
    until(lambda: b"gateway_model_batch_fill 0.375" in exposition("")[0], within_s=10)
    numbers.close()
