"""Nothing in the model, its inputs or the generators is changed by an audit."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from dropout import nn as dnn
from dropout.audit import AuditError, audit
from tests.audit.planted import FAULTS, STYLES
from tests.audit.sound import Block, WritesBuffers, features

pytestmark = pytest.mark.filterwarnings("ignore", "error:the check")


def state(model):
    """All that could change in a model."""
    return {
        "tensors": {name: x.clone() for name, x in model.state_dict(keep_vars=True).items()},
        "identities": [id(x) for x in (*model.parameters(), *model.buffers())],
        "versions": [x._version for x in (*model.parameters(), *model.buffers())],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "needs": [p.requires_grad for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "hooks": [
            [list(value) for name, value in vars(m).items() if "hooks" in name]
            for m in model.modules()
        ],
    }


def generators():
    numpy = np.random.get_state()  # noqa: NPY002  (that which models draw from)
    return {
        "torch": torch.get_rng_state(), "seed": torch.initial_seed(),
        "python": random.getstate(), "numpy": [numpy[1].copy(), numpy[2]],
    }  # fmt: skip


def assert_same(a, b):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, np.ndarray):
        assert np.array_equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def residual(part):
    model = nn.Sequential(nn.Conv2d(3, 16, 1), Block(16), nn.Flatten(), nn.Linear(16 * 36, 16))
    model[1].norm1.eval()
    model[1].requires_grad_(False)
    model[0].register_forward_hook(lambda module, args, output: output + 1)
    model(features(4, 3, 6, 6)).sum().backward()
    return model.append(part)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_stays_as_it_is(fault):
    model = residual(FAULTS[fault].make())
    x = features(4, 3, 6, 6).requires_grad_()
    random.seed(1)
    before, seeds, kept = state(model), generators(), x.detach().clone()
    audit(model, x)
    assert_same(state(model), before)
    assert_same(generators(), seeds)
    assert torch.equal(x, kept)
    assert x.grad is None


def test_what_a_forward_keeps_and_counts_stays_out_of_the_model():
    model = WritesBuffers()
    audit(model, features(8, 12))
    assert model.calls == 0
    assert model.seen == []


def test_a_generator_of_the_model_stays_where_it_is():
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Linear(12, 8), dnn.Dropout(0.5, generator=generator))
    before = generator.get_state()
    assert list(audit(model, features(8, 12))) == []
    assert torch.equal(generator.get_state(), before)


class Fails(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.norm, self.drop, self.mode = nn.BatchNorm1d(12), nn.Dropout(0.5), mode
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        x = self.drop(self.norm(x))
        return self.inner(x) if self.training == self.mode else x


@pytest.mark.parametrize(("mode", "name"), [(True, "in training"), (False, "in evaluation")])
def test_a_model_that_fails_is_named_and_stays_as_it_is(mode, name):
    model = Fails(mode)
    before, seeds = state(model), generators()
    message = rf"'inner', a Linear, fails {name}: RuntimeError: .*mat1 and mat2"
    with pytest.raises(AuditError, match=message):
        audit(model, features(8, 12))
    assert_same(state(model), before)
    assert_same(generators(), seeds)
    hooks = torch.nn.modules.module
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got function"):
        audit(lambda x: x, features(2))


def test_the_same_findings_come_back():
    style, fault = STYLES["attention"], FAULTS["batch norm"]
    model = style.make(fault.make())
    assert audit(model, *style.give()) == audit(model, *style.give())
