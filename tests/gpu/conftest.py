"""Where the tests of this folder run: on the GPU, or on the CPU when they are rehearsed there."""

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--device", default="cuda", help="cpu: rehearse the GPU's tests")


@pytest.fixture(scope="session")
def device(request) -> str:
    found = request.config.getoption("device", "cuda")
    if found == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device")
    return found


@pytest.fixture
def gpu(device) -> str:
    """The same, for what a rehearsal on the CPU cannot show."""
    if device == "cpu":
        pytest.skip("only a GPU can show it")
    return device
