"""Attention with dropout on its weights, and the transformer block around it."""

import pickle

import pytest
import torch
from hypothesis import given
from torch.nn.functional import scaled_dot_product_attention

from dropout import MaskKey, Shard, functional, nn, reference
from dropout.mask import inverted_scale, keep_mask
from dropout.seeding import seeded, unique_keys
from tests import strategies

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)


def heads(targets=5, sources=6, dtype=torch.double):
    """Queries, keys and values of 2 examples and 3 heads."""
    return [torch.randn(2, 3, n, 4, dtype=dtype) for n in (targets, sources, sources)]


# ---- the same as the reference, and as PyTorch --------------------------------------------------


@given(strategies.keys, strategies.rates)
def test_output_is_the_references(key, p):
    q, k, v = heads()
    mask = torch.rand(5, 6) < 0.7
    mask[:, 0] = True
    found = functional.attention(q, k, v, p, mask=mask, key=key)
    expected = reference.attention(q.numpy(), k.numpy(), v.numpy(), p, mask=mask.numpy(), key=key)
    tolerance = 1e-14 * max(1, inverted_scale(p))
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=tolerance)


@pytest.mark.parametrize("masking", ["none", "mask", "causal"])
def test_without_dropout_it_is_pytorchs(masking):
    """By the weights and by the fused kernels: kept whole, a row of one weight is what it was."""
    q, k, v = heads(5, 5)
    mask = torch.rand(2, 1, 5, 5) < 0.5 if masking == "mask" else None
    causal = masking == "causal"
    expected = scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
    assert torch.equal(functional.attention(q, k, v, mask=mask, causal=causal), expected)
    layer = nn.Attention(0.5, causal).eval()
    assert torch.equal(layer(q, k, v, mask), expected)
    t = 1 / 65536
    kept = functional.attention(q, k, v, t, mask=mask, causal=causal, key=KEY)
    assert keep_mask(KEY, (2, 3, 5, 5), t).all()
    torch.testing.assert_close(kept * (1 - t), expected, rtol=0, atol=1e-14)


def test_each_weight_has_a_coin_of_its_own():
    q, k, _ = heads()
    identity = torch.eye(6).double().expand(2, 3, 6, 6)
    weights = functional.attention(q, k, identity, 0.5, key=KEY)
    assert torch.equal(weights != 0, torch.from_numpy(keep_mask(KEY, (2, 3, 5, 6), 0.5)))


def test_evaluation_does_not_drop_and_draws_nothing():
    q, k, v = heads()
    layer = nn.Attention(1.0).eval()
    before = torch.get_rng_state()
    assert torch.equal(layer(q, k, v), scaled_dot_product_attention(q, k, v))
    assert torch.equal(torch.get_rng_state(), before)
    assert not layer.train()(q, k, v).any()


@pytest.mark.parametrize("p", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.double, torch.float, torch.bfloat16, torch.half])
def test_a_target_that_may_look_nowhere_gets_zero_and_no_nan_comes_back(p, dtype):
    q, k, v = (a.requires_grad_() for a in heads(dtype=dtype))
    mask = torch.ones(5, 6, dtype=torch.bool)
    mask[2] = False
    with torch.autograd.set_detect_anomaly(True):  # which stops at a NaN on its way, too
        out = functional.attention(q, k, v, p, mask=mask, key=KEY)
        out.sum().backward()
    assert not out[:, :, 2].any()
    assert all(a.grad.isfinite().all() for a in (q, k, v))
    assert not q.grad[:, :, 2].any()


def test_gradients_of_first_and_second_order_pass_gradcheck():
    def f(q, k, v):
        return functional.attention(q, k, v, 0.3, causal=True, key=KEY)

    inputs = [torch.randn(3, 2, dtype=torch.double, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)


@pytest.mark.parametrize("axis", [0, 1])
def test_examples_or_heads_in_shards_are_the_whole(axis):
    q, k, v = heads()
    whole = functional.attention(q, k, v, 0.5, key=KEY)
    for start in range(whole.shape[axis]):
        part = [a.narrow(axis, start, 1) for a in (q, k, v)]
        place = Shard((2, 3, 5, 6), (start, 0, 0, 0) if axis == 0 else (0, start, 0, 0))
        found = functional.attention(*part, 0.5, key=KEY, shard=place)
        torch.testing.assert_close(found, whole.narrow(axis, start, 1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_products_that_float16_does_not_hold_do_not_overflow(scale):
    """Queries and keys whose products reach 140,000 and their scores 17,500; and small ones."""
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, 6, 64, generator=generator).half() for _ in range(3))
    q, k = scale * q, scale * k
    k[..., 0, :] = q[..., 0, :]
    p = 1 / 65536
    for masking in ({}, {"causal": True}, {"mask": torch.ones(6, 6, dtype=torch.bool)}):
        found = functional.attention(q, k, v, p, key=KEY, **masking)
        expected = functional.attention(*(a.double() for a in (q, k, v)), p, key=KEY, **masking)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-2)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.half])
def test_narrow_types_err_no_more_than_pytorchs(dtype, autocast):
    q, k, v = (a.to(dtype) for a in heads(64, 64))
    q, k = 24 * q, 24 * k
    true = scaled_dot_product_attention(q.double(), k.double(), v.double())
    given = [a.float() if autocast else a for a in (q, k, v)]
    with torch.autocast("cpu", dtype, enabled=autocast):
        dropping, fused = (functional.attention(*given, p, key=KEY) for p in (1 / 65536, 0.0))
    assert dropping.dtype == fused.dtype == dtype
    assert (dropping.double() - true).abs().max() < 2 * (fused.double() - true).abs().max()


def test_scores_beyond_float16_are_finite():
    x = torch.full((1, 4, 64), 250.0).half()
    assert (functional.attention(x, x, x, 1e-3, key=KEY) - 250).abs().max() < 0.5


@pytest.mark.unchecked
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_queries_may_have_fewer_batches_than_keys_and_no_features(p):
    q, k = torch.randn(1, 3, 4), torch.randn(2, 5, 4)
    mask = torch.ones(2, 3, 5, dtype=torch.bool)
    found = functional.attention(q, k, k, p, mask=mask, key=KEY)
    expected = functional.attention(q.expand(2, 3, 4), k, k, p, key=KEY)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert functional.attention(q[..., :0], k[..., :0], k, p, key=KEY).isfinite().all()


# ---- the block ----------------------------------------------------------------------------------


def test_a_block_without_dropout_is_pytorchs_encoder_layer():
    block = nn.TransformerBlock(8, 2, p=0.3).double().eval()
    layer = torch.nn.TransformerEncoderLayer(8, 2, 32, batch_first=True).double().eval()
    names = {
        "attention.project.weight": "self_attn.in_proj_weight",
        "attention.project.bias": "self_attn.in_proj_bias",
        "attention.out": "self_attn.out_proj",
        "feed_forward.0": "linear1",
        "feed_forward.2": "linear2",
    }
    state = block.state_dict()
    for ours, theirs in names.items():
        state = {name.replace(ours, theirs): value for name, value in state.items()}
    layer.load_state_dict(state)
    x = torch.randn(3, 5, 8, dtype=torch.double)
    torch.testing.assert_close(block(x), layer(x), rtol=0, atol=1e-14)


def test_it_drops_in_the_four_places():
    """Each place in turn at rate one: what it lets through is what is left."""
    embedding = nn.TransformerEmbedding(words=10, length=5, d_model=8, p=1.0)
    assert not embedding(torch.zeros(3, 5, dtype=torch.int64)).any()
    block, x = nn.TransformerBlock(8, 2, p=0.0), torch.randn(3, 5, 8)
    block.dropout2.p = 1.0
    after_attention = block.norm1(x + block.attention(x))
    assert torch.equal(block(x), block.norm2(after_attention))
    block.dropout1.p = 1.0
    assert torch.equal(block(x), block.norm2(block.norm1(x)))
    block.attention.attention.p = 1.0
    assert torch.equal(block.attention(x), block.attention.out.bias.expand_as(x))


def test_each_place_has_a_key_of_its_own():
    embedding, block = nn.TransformerEmbedding(10, 5, 8), nn.TransformerBlock(8, 2)
    model = seeded(torch.nn.Sequential(embedding, block), seed=1)
    with unique_keys(model):
        model(torch.zeros(3, 5, dtype=torch.int64))
    layers = (embedding.dropout, block.attention.attention, block.dropout1, block.dropout2)
    assert [layer.key.stream for layer in layers] == [0, 1, 2, 3]


def test_a_causal_block_does_not_see_the_future():
    block, x = nn.TransformerBlock(8, 2, causal=True).eval(), torch.randn(3, 5, 8)
    changed = x.clone()
    changed[:, 3:] = 0.0
    assert torch.equal(block(x)[:, :3], block(changed)[:, :3])
    assert not torch.equal(block(x)[:, 3:], block(changed)[:, 3:])


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.SelfAttention(8, 2).eval(), torch.ones(3, 5, 8)),
        (nn.TransformerBlock(8, 2).eval(), torch.ones(3, 5, 8)),
        (nn.TransformerEmbedding(9, 5, 8).eval(), torch.zeros(3, 5, dtype=torch.int64)),
    ],
)
def test_a_graph_of_torch_fx_can_be_pickled(layer, x):
    graph = pickle.loads(pickle.dumps(torch.fx.symbolic_trace(layer)))
    torch.testing.assert_close(graph(x), layer(x))


@pytest.mark.unchecked
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_bad_rate_is_named(p):
    x = torch.ones(2, 2)
    makers = [
        lambda: nn.Attention(p),
        lambda: nn.TransformerBlock(4, 2, p),
        lambda: nn.TransformerEmbedding(4, 2, 4, p),
        lambda: functional.attention(x, x, x, p, training=False),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
            make()


@pytest.mark.unchecked
def test_a_mask_that_is_not_boolean_or_stands_beside_causal_is_refused():
    x = torch.ones(2, 2)
    with pytest.raises(TypeError, match=r"mask must be boolean, .*, got torch\.float32"):
        functional.attention(x, x, x, mask=x)
    with pytest.raises(ValueError, match="a mask or causal=True, not both"):
        functional.attention(x, x, x, mask=x > 0, causal=True)


@pytest.mark.unchecked
@pytest.mark.parametrize("shape", [(4, 6), (5, 5), (3, 1, 1, 1, 1), (2, 2, 5, 6)])
@pytest.mark.parametrize("training", [True, False])
def test_a_mask_that_does_not_broadcast_is_named_with_what_it_must(shape, training):
    mask = torch.ones(shape, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"mask must broadcast to \(2, 3, 5, 6\), got shape \("):
        functional.attention(*heads(), 0.5, training, mask=mask)


@pytest.mark.unchecked
def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="n_heads must divide d_model = 8, got 3"):
        nn.TransformerBlock(8, 3)
    with pytest.raises(ValueError, match="tokens must have at most 5 positions, got 6"):
        nn.TransformerEmbedding(10, 5, 8)(torch.zeros(1, 6, dtype=torch.int64))
