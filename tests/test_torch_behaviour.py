"""What PyTorch's own test-suite asks of its dropout layers, asked anew of ours."""

import inspect
import warnings
from itertools import permutations
from pathlib import Path

import pytest
import torch

from dropout import MaskKey, functional, nn

KEY = MaskKey(seed=5)
NAMES = {
    "Dropout": (30, 40, 2, 4, 3),
    "Dropout1d": (50, 60, 8),
    "Dropout2d": (40, 50, 3, 2),
    "Dropout3d": (30, 60, 2, 3, 2),
    "AlphaDropout": (30, 40, 4),
    "FeatureAlphaDropout": (50, 60, 3, 2),
}
FUNCTIONS = ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
             "feature_alpha_dropout"]  # fmt: skip
SCALING = {name: shape for name, shape in NAMES.items() if "Alpha" not in name}
every_layer = pytest.mark.parametrize(("name", "shape"), NAMES.items(), ids=NAMES)
every_scaling = pytest.mark.parametrize(("name", "shape"), SCALING.items(), ids=SCALING)
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def face(function):
    """Names and defaults of the arguments that may come by position."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


# ---- the face -------------------------------------------------------------------------------


@every_layer
def test_a_layer_is_torch_nns_with_its_arguments_words_and_state(name, shape):
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    assert issubclass(ours, theirs)
    assert face(ours) == face(theirs)
    for arguments in ((), (0.2,), (0.2, True)):
        assert repr(ours(*arguments)) == repr(theirs(*arguments))
    layer = ours()
    layer.load_state_dict(theirs().state_dict())
    assert not layer.state_dict()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_torchs_arguments(name):
    assert face(getattr(functional, name)) == face(getattr(torch.nn.functional, name))


def test_the_first_argument_of_every_function_is_its_input_as_in_torch():
    others = {"attention": "queries", "max_norm_": "module"}  # as what torch has is called, nearly
    for name in functional.__all__:
        first, *_ = inspect.signature(getattr(functional, name)).parameters
        assert first == others.get(name, "input")


@every_layer
def test_it_takes_the_place_of_torch_nns_in_a_model(name, shape, monkeypatch):
    def model():
        return torch.nn.Sequential(torch.nn.Linear(shape[-1], 4), getattr(torch.nn, name)(0.5))

    theirs = model()
    monkeypatch.setattr(torch.nn, name, getattr(nn, name))
    ours = model()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape)
    assert str(ours) == str(theirs)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))
    ours.train()(x).sum().backward()
    assert ours[0].weight.grad.any()


# ---- means, formats, in place ---------------------------------------------------------------


@every_scaling
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_mean_of_output_and_gradient_is_the_inputs(name, shape, dtype):
    """Within .05 as there: five standard errors for the fewest coins, 1 800."""
    p = 0.2
    layer = getattr(nn, name)(p)
    x = torch.full(shape, 1 - p, dtype=dtype, requires_grad=True)
    out = layer(x)
    out.backward(x.detach())
    assert abs(out.double().mean().item() - (1 - p)) < 0.05
    assert abs(x.grad.double().mean().item() - (1 - p)) < 0.05
    assert torch.equal(out, x.grad)
    assert out.dtype == dtype


@every_layer
@pytest.mark.parametrize("inplace", [False, True])
def test_the_memory_format_is_kept_in_output_and_gradient(name, shape, inplace):
    x = torch.rand(shape)
    for memory_format in (torch.contiguous_format, FORMATS.get(len(shape))):
        if memory_format is None:
            continue
        leaf = x.clone(memory_format=memory_format).requires_grad_()
        seen = leaf.clone()  # the leaf itself may not be written to
        out = getattr(nn, name)(0.5, inplace, key=KEY)(seen)
        out.backward(torch.ones_like(out))
        assert out.is_contiguous(memory_format=memory_format)
        assert leaf.grad.is_contiguous(memory_format=memory_format)
        assert (out.data_ptr() == seen.data_ptr()) == inplace
        assert torch.equal(out, getattr(nn, name)(0.5, key=KEY)(x))


@every_scaling
def test_every_order_and_shift_of_strides_gives_the_same_values(name, shape):
    x = torch.rand(shape)
    expected = getattr(nn, name)(0.5, key=KEY)(x)
    orders = list(permutations(range(len(shape))))[::5]
    for order in orders:
        back = [order.index(axis) for axis in range(len(shape))]
        for shift in range(2):
            wide = torch.zeros([shape[a] for a in order[:-1]] + [shape[order[-1]] + shift])
            view = wide.narrow(-1, shift, shape[order[-1]]).permute(back)
            view.copy_(x)
            out = getattr(nn, name)(0.5, key=KEY)(view)
            assert torch.equal(out, expected)
            assert out.stride() == torch.empty_like(view).stride()


@every_layer
@pytest.mark.parametrize("p", [0.0, 1e-10])
def test_a_discontiguous_input_and_no_rate_change_nothing(name, shape, p):
    x = torch.rand(*shape[:-1], 2 * shape[-1])[..., ::2]
    assert torch.equal(getattr(nn, name)(p)(x), x)


@every_layer
def test_evaluation_is_the_identity(name, shape):
    layer, x = getattr(nn, name)(0.5), torch.rand(shape)
    assert layer.eval()(x) is x
    assert not torch.equal(layer.train()(x), x)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.AlphaDropout, (5000,)), (nn.FeatureAlphaDropout, (50, 400, 1, 2))]
)
def test_alpha_dropout_keeps_mean_and_deviation(layer, shape, p):
    """Within .1 as there: 6 standard errors and more."""
    x = torch.randn(shape, requires_grad=True)
    out = layer(p)(x)
    assert abs(out.mean() - x.mean()) < 0.1
    assert abs(out.std() - x.std()) < 0.1
    out.sum().backward()
    assert x.grad.any()


# ---- corners --------------------------------------------------------------------------------


@every_layer
@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("training", [True, False])
def test_the_ends_of_the_rate_are_torchs_in_output_and_gradient(name, shape, p, training):
    results = []
    for package in (nn, torch.nn):
        x = torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape).requires_grad_()
        out = getattr(package, name)(p).train(training)(x)
        out.backward(torch.ones_like(out))
        results.append((out, x.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@every_layer
def test_empty_inputs_keep_their_size(name, shape):
    for empty in ((0, *shape[1:]), (*shape[:-1], 0)):
        for training in (True, False):
            assert getattr(nn, name)(0.5).train(training)(torch.ones(empty)).shape == empty


@pytest.mark.unchecked
@every_layer
def test_bad_rates_are_value_errors(name, shape):
    function = {n.replace("_", ""): n for n in FUNCTIONS}[name.lower()]
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"dropout probability .*{p}"):
            getattr(nn, name)(p)
        with pytest.raises(ValueError, match=f"dropout probability .*{p}"):
            getattr(functional, function)(torch.ones(shape), p)


@pytest.mark.unchecked  # run without checks of signatures, whose frame would be blamed
@pytest.mark.parametrize(
    ("name", "rank"),
    [("dropout2d", r) for r in (2, 3, 4, 5)] + [("dropout3d", r) for r in (3, 4, 5, 6)],
)
def test_the_ranks_that_torch_warns_of_are_those_that_we_warn_of(name, rank):
    x = torch.ones([2] * rank)
    seen = []
    for package in (functional, torch.nn.functional):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(package, name)(x)
        seen.append([(w.category, Path(w.filename).name) for w in caught])
    assert seen[0] == seen[1]  # each blamed on this file


# ---- derivatives and small shapes -----------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
def test_derivatives_of_all_modes(name, p, inplace):
    """The shapes and rates of PyTorch's samples for dropout, in place too."""
    shape = {"dropout1d": (3, 4, 3), "dropout2d": (2, 3, 2, 2), "dropout3d": (2, 3, 1, 2, 2)}

    def f(x):
        return getattr(functional, name)(x.clone(), p, inplace=inplace, key=KEY)

    x = torch.randn(shape.get(name, (5, 4)), dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(f, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, x)


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout"])
@pytest.mark.parametrize("shape", [(), (1,), (5, 5)])
def test_scalars_and_vectors_are_taken(name, shape):
    for training in (True, False):
        assert getattr(functional, name)(torch.ones(shape), 0.5, training).shape == shape


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_torch_refuses_to_write_in_place_we_refuse(name):
    shape = {"dropout1d": (3, 4, 3), "dropout2d": (2, 3, 2, 2), "dropout3d": (2, 3, 1, 2, 2)}
    leaf = torch.ones(shape.get(name, (5, 4)), requires_grad=True)
    expanded = torch.ones(1).expand(leaf.shape)
    in_place = "Variable that requires grad is being used in an in-place operation"
    shared = "more than one element of the written-to tensor refers to a single memory location"
    cases = (
        (leaf, f"^a leaf {in_place}"),
        (leaf[1:], f"^a view of a leaf {in_place}"),
        (expanded, shared),
    )
    for package in (functional, torch.nn.functional):
        for x, words in cases:
            with pytest.raises(RuntimeError, match=words):
                getattr(package, name)(x, 0.5, True, inplace=True)
    assert torch.equal(leaf, torch.ones(leaf.shape))
    assert torch.equal(expanded, torch.ones(leaf.shape))


@pytest.mark.unchecked
@pytest.mark.parametrize("name", FUNCTIONS)
def test_training_is_true_or_false_as_in_torch(name):
    """A key that comes by position, in the place of `training`, is not taken for "yes"."""
    x = torch.ones(2, 3, 4, 2)[0 if name == "dropout1d" else slice(None)]
    for package in (functional, torch.nn.functional):
        for training in (KEY, 1, None):
            with pytest.raises(TypeError, match=r"train.* must be"):
                getattr(package, name)(x, 0.5, training)


class View(torch.autograd.Function):
    """A view that a Function of one's own makes."""

    @staticmethod
    def forward(ctx, x):
        return x.view(-1)

    @staticmethod
    def backward(ctx, grad):
        return grad.view(2, 8)


def leaf():
    return torch.ones(2, 8, requires_grad=True)


def under(mode, f, *args):
    with mode():
        return f(*args)


def first(x):
    return x[0]


def based_on_what_gradients_reach_later():
    base = torch.ones(2, 8)
    view = base.unbind()[0]
    base.mul_(leaf())
    return view


# Tensors with something about them that PyTorch looks at before it writes in place.
WRITTEN = {
    "leaf": leaf,
    "view of a leaf": lambda: leaf()[0],
    "unbind of a leaf": lambda: leaf().unbind()[0],
    "no leaf": lambda: leaf() * 1,
    "view": lambda: (leaf() * 1)[0],
    "detached": lambda: leaf().detach(),
    "unbind": lambda: (leaf() * 1).unbind()[0],
    "split": lambda: (leaf() * 1).split(1)[1],
    "chunk": lambda: (leaf() * 1).chunk(2)[1],
    "view of unbind": lambda: (leaf() * 1).unbind()[0].view(2, 4),
    "unbind, then a gradient": based_on_what_gradients_reach_later,
    "unbind without gradients": lambda: torch.ones(2, 8).unbind()[0],
    "view made under no_grad": lambda: under(torch.no_grad, first, leaf() * 1),
    "view of a leaf made under no_grad": lambda: under(torch.no_grad, first, leaf()),
    "view without gradients made under no_grad": lambda: under(torch.no_grad, first, torch.ones(2)),
    "view made in inference_mode": lambda: under(torch.inference_mode, first, leaf() * 1),
    "view by a Function": lambda: View.apply(leaf() * 1),
    "inference tensor": lambda: under(torch.inference_mode, torch.ones, 8),
    "view of an inference tensor": lambda: under(torch.inference_mode, torch.ones, 2, 8)[0],
    "expanded": lambda: torch.ones(1).expand(8),
}


@pytest.mark.parametrize("make", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_in_place_we_write_where_torch_does_and_elsewhere_nothing(make, mode):
    written = []
    for package in (torch.nn.functional, functional):
        x = make()
        before = x.detach().clone()
        with mode():
            try:
                package.dropout(x, 1.0, inplace=True)
            except RuntimeError:
                written.append(False)
                # PyTorch itself notices an inference tensor when it has written.
                assert torch.equal(x, before) or package is torch.nn.functional
            else:
                written.append(True)
                assert not x.any()
    assert written[0] == written[1]


def test_in_inference_mode_it_drops_and_writes_in_place():
    expected = functional.dropout(torch.ones(64), key=KEY)
    before = torch.ones(64)
    with torch.inference_mode():
        for x in (torch.ones(64), before):
            assert torch.equal(functional.dropout(x, key=KEY), expected)
            assert functional.dropout(x, inplace=True, key=KEY) is x
            assert torch.equal(x, expected)


def test_a_conjugates_imaginary_part_drops_with_its_sign():
    """A view whose numbers are negated as they are read."""
    x = torch.complex(torch.zeros(64), torch.ones(64)).conj().imag
    expected = -functional.dropout(torch.ones(64), key=KEY)
    assert x.is_neg()
    assert torch.equal(functional.dropout(x, key=KEY), expected)
    assert torch.equal(functional.dropout(x, inplace=True, key=KEY), expected)
