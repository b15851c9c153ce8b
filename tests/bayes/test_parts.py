"""`bayes.predict`: however the work is cut, the samples are the same, and memory is bounded."""

import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dropout.bayes import predict
from tests.bayes.models import KEY, Calls, inputs, mlp


@pytest.mark.parametrize("memory", [1, 5_000, 50_000])
def test_parts_do_not_show(memory):
    model, x = mlp(), inputs(11, 6)
    whole = predict(model, x, 7, key=KEY)
    assert torch.allclose(predict(model, x, 7, key=KEY, memory=memory), whole, rtol=0, atol=1e-12)


def test_a_loader_gives_what_one_batch_gives_and_keeps_the_last_part():
    model, x = mlp(), inputs(11, 6)
    loader = torch.utils.data.DataLoader(x, batch_size=4)
    drawn = predict(model, loader, 7, key=KEY)
    assert drawn.shape == (7, 11, 3)
    assert torch.allclose(drawn, predict(model, x, 7, key=KEY), rtol=0, atol=1e-12)


def test_what_precedes_the_first_dropout_runs_once_for_all_samples():
    """And before, for one input and for three, and for one with `Calls` in training, to see what
    the model makes of them."""
    before, after = (Calls(lambda self, x: 2 * x) for _ in range(2))
    rows = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten.mul.Tensor and args[1] == 2:
                rows.append(args[0].numel() // 6)
            return function(*args, **(kwargs or {}))

    model = nn.Sequential(before, nn.Dropout(0.5), after)
    with Count():
        predict(model, inputs(8, 6), 100, key=KEY)
    assert sorted(rows) == [1, 1, 1, 1, 3, 3, 8, 800]


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors alive that operators made."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.alive = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.add(tensor.untyped_storage())
        return out

    def add(self, storage):
        address, size = storage.data_ptr(), storage.nbytes()
        if address not in self.alive:
            self.alive.add(address)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.free, address, size)

    def free(self, address, size):
        self.alive.discard(address)
        self.now -= size


@pytest.mark.parametrize("build", [mlp, lambda: nn.Sequential(nn.Dropout(0.1), *mlp())])
def test_memory_is_bounded_whatever_the_samples_and_inputs(build):
    model, memory, peaks = build(), 1 << 17, []
    for samples, n in ((10, 50), (1000, 50), (10, 5000), (5000, 10)):
        x = inputs(n, 6)
        with Peak() as count:
            count.alive.add(x.untyped_storage().data_ptr())  # not made by an operator
            out = predict(model, x, samples, key=KEY, memory=memory)
        results = 2 * out.numel() * out.element_size()  # the parts, and what they are joined to
        peaks.append(count.peak - results)
    assert max(peaks) < 1.5 * memory


def test_progress_counts_inputs_on_stderr(capsys):
    predict(mlp(), inputs(4, 6), 3, progress=True)
    assert capsys.readouterr().err.endswith("\r4 inputs, 3 samples each\n")
