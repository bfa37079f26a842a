import hashlib

import numpy as np
import pytest
import torch

from local_model.detector import BadDetector
from local_model.predictor import Predictor
from tests.local_model.toys import TOML, Colour


def plugged(folder, boxes="corners", **changes):
    file = next(path for path in folder.iterdir() if path.stem == "toy")
    told = {"name": "toy", "file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "boxes": boxes, **changes}
    (folder / "d.toml").write_text(TOML.format(**told))
    return Predictor.load(device="cpu", weights=folder / "d.toml")


@pytest.fixture
def exported(tmp_path):
    torch.export.save(
        torch.export.export(Colour(), (torch.zeros(2, 3, 64, 64),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)),
        tmp_path / "toy.pt2",
    )
    return tmp_path


def test_a_torchscript_file_with_centres_answers_under_its_own_name(tmp_path):
    torch.jit.trace(Colour(box=(16.0, 32, 32, 64)), torch.zeros(1, 3, 64, 64)).save(tmp_path / "toy.pt")
    predictor = plugged(tmp_path, boxes="centres")
    green = np.zeros((32, 32, 3), np.uint8)
    green[..., 1] = 204
    [seen] = predictor.predict([green])
    assert seen.labels == ("green",)
    assert seen.confidences.tolist() == [pytest.approx(0.8)]
    assert seen.boxes.tolist() == [[0, 0, 0.5, 1]]
    assert seen.model == f"toy {hashlib.sha256((tmp_path / 'toy.pt').read_bytes()).hexdigest()[:8]}"


def test_an_exported_file_answers_batches(exported):
    red, blue = np.zeros((2, 40, 40, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 255
    assert [seen.labels for seen in plugged(exported).predict([red, blue, red])] == [("red",), ("blue",), ("red",)]


def test_a_file_other_than_the_described_one_is_refused(exported):
    with pytest.raises(BadDetector, match="damaged or another file"):
        plugged(exported, sha256="0" * 64)


def test_a_description_that_is_wrong_is_refused_with_a_sentence(exported):
    with pytest.raises(BadDetector, match="corners or centres"):
        plugged(exported, boxes="polar")
    (exported / "d.toml").write_text('name = "toy"')
    with pytest.raises(BadDetector, match="does not say 'input'"):
        Predictor.load(device="cpu", weights=exported / "d.toml")
    (exported / "d.toml").write_text("name = ")
    with pytest.raises(BadDetector, match="not TOML"):
        Predictor.load(device="cpu", weights=exported / "d.toml")
    with pytest.raises(BadDetector, match="No such file"):
        Predictor.load(device="cpu", weights=exported / "gone.toml")


def test_a_file_that_is_no_network_is_refused(tmp_path):
    (tmp_path / "toy.pt").write_bytes(b"not a network")
    with pytest.raises(BadDetector, match="not a network"):
        plugged(tmp_path)
