import subprocess
import sys
from pathlib import Path

import pytest

import providers
from providers import registry
from providers.contract import Provider
from tests.providers.conftest import ask, picture


@pytest.fixture
def fourth(monkeypatch):
    """The folder of a fourth provider: one module and one data file."""
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(Path(__file__).parent / "fourth")])
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()
    sys.modules.pop("providers.toy", None)


def test_a_fourth_provider_is_one_module_and_one_data_file(fourth):
    assert "toy" in registry.names()
    toy = registry.build("toy", {})
    assert isinstance(toy, Provider)
    assert [detection.label for detection in ask(toy, picture(), "objects").detections] == ["cat"]


def test_without_its_folder_it_is_gone():
    assert registry.names() == ("google_vision", "local", "local_candidate", "rekognition")


def test_finding_and_importing_them_imports_no_sdk():
    modules = "import sys; from providers import registry; registry.names(); import providers.rekognition, providers.google_vision; "
    answer = subprocess.run(
        [sys.executable, "-c", modules + "print({'boto3', 'botocore', 'grpc', 'google.cloud.vision_v1', 'torch'} & sys.modules.keys())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert answer.stdout.strip() == "set()"
