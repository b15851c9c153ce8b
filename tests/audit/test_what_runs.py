"""Graphs, compiled code, wrappers and odd inputs."""

import numpy as np
import pytest
import torch
from torch import nn

from dropout.audit import AuditError, audit
from dropout.audit.checks import rates
from tests.audit.planted import FAULTS
from tests.audit.sound import BiLSTM, features, mlp, tokens

pytestmark = pytest.mark.filterwarnings("ignore")
GRAPHS = {
    "exported": lambda model: torch.export.export(model, (features(16, 12),)).module(),
    "traced": lambda model: torch.jit.trace(model, features(16, 12), check_trace=False),
}
graphs = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


@graphs
def test_a_graph_that_was_made_in_training_drops_in_evaluation(graph):
    findings = audit(graph(mlp().train()), features(16, 12))
    assert set(findings.kinds()) == {"drops-in-evaluation"}
    assert findings[0].evidence["largest_difference"] > 0.01


@graphs
def test_a_graph_that_was_made_in_evaluation_has_no_findings(graph):
    assert list(audit(graph(mlp().eval()), features(16, 12))) == []


@pytest.mark.parametrize(
    "wrap",
    [
        torch.jit.script,
        torch.fx.symbolic_trace,
        lambda model: torch.compile(model, backend="eager"),
    ],
)
def test_compiled_and_symbolic_models_have_no_findings(wrap):
    assert list(audit(wrap(mlp()), features(16, 12))) == []


def test_packed_sequences_have_no_findings():
    assert list(audit(BiLSTM(), tokens(4, 7), torch.tensor([7, 6, 2, 5]))) == []


def test_a_layer_left_in_training_mode_may_be_meant():
    model = mlp().eval()
    model[2].train()
    (finding,) = audit(model, features(16, 12))
    assert (finding.kind, finding.module) == ("drops-in-evaluation", "2")
    assert finding.confidence == "possible"


def test_a_layer_left_in_evaluation_mode_may_be_meant():
    model = mlp().train()
    model[5].eval()
    (finding,) = audit(model, features(16, 12))
    assert (finding.kind, finding.module, finding.confidence) == ("idle-rate", "5", "possible")


class MCDropout(FAULTS["without training="].make):
    pass


def test_monte_carlo_dropout_by_name_may_be_meant():
    model = nn.Sequential(nn.Linear(12, 16), MCDropout(), nn.Linear(16, 4))
    (finding,) = audit(model, features(16, 12))
    assert (finding.kind, finding.confidence) == ("drops-in-evaluation", "possible")
    assert "Monte Carlo" in finding.sentence


class DrawsByNumPy(nn.Module):
    def forward(self, x):
        mask = np.random.rand(*x.shape) > 0.5  # noqa: NPY002  (as such models have it)
        return x * torch.from_numpy(mask.astype(np.float32)) * 2


def test_a_mask_that_numpy_draws_in_evaluation_is_found():
    model = nn.Sequential(nn.Linear(12, 16), DrawsByNumPy(), nn.Linear(16, 4))
    (finding,) = audit(model, features(16, 12))
    assert (finding.kind, finding.module) == ("drops-in-evaluation", "1")


class SkipsAtRandom(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 12)

    def forward(self, x):
        for _ in range(20):
            x = x if torch.rand(()) < 0.5 else x + self.layer(x)
        return x


def test_layers_skipped_at_random_in_evaluation_are_found():
    (finding,) = audit(SkipsAtRandom(), features(16, 12))
    assert (finding.kind, finding.confidence) == ("drops-in-evaluation", "possible")


class NoiseDropout(nn.Module):
    def forward(self, x):
        return x * (1 + torch.randn_like(x))


def test_noise_in_evaluation_is_found_if_it_says_that_it_is_dropout():
    model = nn.Sequential(nn.Linear(12, 16), NoiseDropout(), nn.Linear(16, 4))
    (finding,) = audit(model, features(16, 12))
    assert (finding.kind, finding.module) == ("drops-in-evaluation", "1")


class FrozenBatchNorm(nn.Module):
    """Dropout before a batch norm that collects nothing, which no shift reaches."""

    def __init__(self):
        super().__init__()
        self.drop, self.norm, self.out = nn.Dropout(0.5), nn.BatchNorm1d(12), nn.Linear(12, 4)

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x):
        return self.out(self.norm(self.drop(x)))


def test_a_batch_norm_that_collects_nothing_has_no_shift():
    assert list(audit(FrozenBatchNorm(), features(32, 12))) == []


def test_the_measured_shift_is_that_of_the_theory():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(64))
    x = features(4096, 64)
    (finding,) = audit(model, x)
    mean, variance = x.mean(0), x.var(0, correction=0)
    expected = (1 + (mean**2 + variance).sum() / variance.sum()).item()
    evidence = finding.evidence
    assert abs(evidence["training_over_evaluation"] - expected) < 6 * evidence["standard_error"]


@pytest.mark.parametrize("x", [torch.zeros(0, 12), features(4, 12).double(), features(12)])
def test_odd_inputs_do_not_make_an_audit_fail(x):
    assert list(audit(mlp().to(x.dtype), x)) == []


def test_a_model_without_parameters_or_tensors_has_no_findings():
    class Odd(nn.Module):
        def forward(self, *args, **kwargs):
            return {"a": object(), "b": iter(())}

    assert list(audit(Odd(), "text", None, option=[3, object()])) == []


class OnGraph(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = mlp()

    def forward(self, x, neighbours):
        return self.body(neighbours @ x), neighbours


def test_sparse_inputs_and_outputs_do_not_make_an_audit_fail():
    assert list(audit(OnGraph(), features(16, 12), torch.eye(16).to_sparse())) == []


class Forces(nn.Module):
    def __init__(self):
        super().__init__()
        self.energy = nn.Sequential(mlp(), nn.Tanh())

    def forward(self, x):
        x = x.detach().requires_grad_()
        energy = self.energy(x).sum()
        return energy, torch.autograd.grad(energy, x, create_graph=True)[0]


@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_gradients_within_a_forward_are_taken_whatever_is_around(around):
    with around():
        assert list(audit(Forces(), features(16, 12))) == []


def test_a_check_that_fails_is_told_of_and_the_others_go_on(monkeypatch):
    def broken(case):
        raise KeyError("x")
        yield

    monkeypatch.setattr("dropout.audit.CHECKS", (broken, rates.extreme_rates))
    with pytest.warns(RuntimeWarning, match="the check broken failed: KeyError"):
        findings = audit(nn.Sequential(nn.Linear(12, 4), nn.Dropout(1.0)), features(16, 12))
    assert findings.kinds() == ["drops-everything"]


def test_parameters_without_a_shape_are_named():
    model = nn.Sequential(nn.LazyLinear(8), nn.Dropout(0.5))
    with pytest.raises(AuditError, match=r"'0\.weight' has no shape yet: run the model once"):
        audit(model, features(16, 12))
