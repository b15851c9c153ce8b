"""`Watch`: what goes wrong in a training loop, and nothing of one that is right."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dropout import nn as dnn
from dropout.audit import Watch
from dropout.seeding import seeded, set_step
from tests.audit.planted import quiet
from tests.audit.sound import features, mlp

X, Y = features(32, 12), torch.arange(32) % 4


def train(model, steps=4, before=lambda step: None, evaluate=None, mode=True):
    """A training loop, with what someone writes into it."""
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with Watch(model) as watch:
        model.train(mode)
        for step in range(steps):
            before(step)
            loss = nn.functional.cross_entropy(model(X), Y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if evaluate:
                evaluate(model)
    return watch.findings


def validates(model):
    model.eval()
    with torch.no_grad():
        model(X)
    model.train()


MODELS = {
    "layers": mlp,
    "this library's": lambda: nn.Sequential(nn.Linear(12, 8), dnn.Dropout(0.5), nn.Linear(8, 4)),
    "noise": lambda: nn.Sequential(nn.Linear(12, 8), dnn.GaussianDropout(0.5), nn.Linear(8, 4)),
}
each_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


@each_model
def test_a_sound_loop_has_no_findings(make):
    assert list(train(make(), evaluate=validates)) == []


@each_model
def test_a_seed_in_the_loop_is_found(make):
    findings = train(make(), before=lambda step: torch.manual_seed(0))
    assert findings.kinds() == ["same-mask-each-step"]
    assert findings[0].evidence == {"forwards": 4, "states_of_the_generator": 1}


@each_model
@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_evaluation_in_training_mode_is_found(make, without):
    def evaluates(model):
        with without():
            model(X)

    findings = train(make(), evaluate=evaluates)
    assert findings.kinds() == ["evaluates-in-training-mode"]
    assert findings[0].evidence["in_training_mode"] == 4


@each_model
def test_training_in_evaluation_mode_is_found(make):
    findings = train(make(), evaluate=lambda model: model.eval())
    assert findings.kinds() == ["trains-in-evaluation-mode"]
    assert findings[0].evidence == {"steps": 4, "steps_in_evaluation_mode": 3}


def test_gradients_of_inputs_in_evaluation_are_no_training():
    def explains(model):
        model.eval()
        model(X.clone().requires_grad_()).sum().backward()
        model.train()

    assert list(train(mlp(), evaluate=explains)) == []


def test_a_key_that_no_step_moves_is_found_and_one_that_moves_is_not():
    model = seeded(MODELS["this library's"](), seed=1)
    findings = train(model)
    assert [(f.kind, f.module) for f in findings] == [("same-mask-each-step", "1")]
    assert findings[0].evidence == {"forwards": 4, "keys": 1}
    assert list(train(model, before=lambda step: set_step(model, step))) == []


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = quiet(nn.GRU, 12, 8, dropout=0.2)
        self.never, self.used = nn.Dropout(0.3), nn.Dropout(0.4)
        self.frozen, self.out = nn.Dropout(0.5), nn.Linear(8, 4)
        self.attention = nn.Dropout(0.6)

    def train(self, mode=True):
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x):
        h = self.frozen(self.used(self.rnn(x)[0]))
        return self.out(nn.functional.dropout(h, self.attention.p, self.training))


def test_rates_that_never_acted_are_found():
    findings = train(Idle())
    assert [(f.kind, f.module) for f in findings] == [
        ("idle-rate", "rnn"), ("idle-rate", "never"), ("idle-rate", "frozen"),
    ]  # fmt: skip


def test_no_hook_stays_also_after_an_error():
    model = mlp()
    kept = [dict(vars(m)) for m in model.modules()]
    with pytest.raises(RuntimeError), Watch(model) as watch:
        model(X[:, :3])
    assert list(watch.findings) == []
    for module, before in zip(model.modules(), kept, strict=True):
        assert all(vars(module)[name] == value for name, value in before.items())
    assert list(train(model)) == []


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got int"):
        Watch(3)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_is_watched_without_compiling_it_anew():
    model = torch.compile(mlp(), backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert list(train(model)) == []
        findings = train(model, before=lambda step: torch.manual_seed(0))
    assert findings.kinds() == ["same-mask-each-step"]


def test_two_masks_in_a_step_and_summed_gradients_have_no_findings():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with Watch(model) as watch:
        for _ in range(3):
            for _ in range(2):
                (model(X) - model(X)).square().mean().backward()
            optimizer.step()
            validates(model)
    assert list(watch.findings) == []


@each_model
def test_what_a_checkpoint_computes_again_is_no_step(make):
    model = make()
    with Watch(model) as watch:
        for _ in range(3):
            checkpoint(model, X, use_reentrant=False).sum().backward()
    assert list(watch.findings) == []
