from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from local_model.predictor import Predictor

PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.fixture(scope="session")
def predictor():
    return Predictor.load(device="cpu")


@pytest.fixture(scope="session")
def giraffes():
    """Two giraffes: (640, 427, 3)."""
    return np.asarray(PIL.Image.open(PHOTOS / "000000000072.jpg"))


@pytest.fixture(scope="session")
def photographs():
    """Seven photographs of different shapes."""
    return [np.asarray(PIL.Image.open(path).convert("RGB")) for path in sorted(PHOTOS.glob("*.jpg"))]
