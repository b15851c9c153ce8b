"""`bayes.predict`: models of the transformers library, tiny ones of random weights."""

import pytest
import torch
from torch import nn

from dropout import MaskKey
from dropout.bayes import predict
from dropout.mask import keep_mask
from tests.bayes.models import KEY, inputs

transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "hidden_dropout_prob": 0.25,
    "attention_probs_dropout_prob": 0.25,
    "num_labels": 3,
}
SAMPLES = 5


def bert(kind, attention):
    config = transformers.BertConfig(
        vocab_size=50, max_position_embeddings=16, attn_implementation=attention, **SIZES
    )
    torch.manual_seed(1)
    return getattr(transformers, kind)(config).double().eval()


def vit(attention):
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, attn_implementation=attention, **SIZES
    )
    torch.manual_seed(1)
    return transformers.ViTForImageClassification(config).double().eval()


def sentences():
    tokens = torch.randint(50, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(7) < torch.tensor([[7], [5], [3]])
    return {"input_ids": tokens, "attention_mask": mask.long()}


def one_by_one(model, batch, monkeypatch, **options):
    """The outputs of PyTorch's training mode, a pass for each sample, with the masks of the key."""
    outputs = []
    for t in range(SAMPLES):
        streams = iter(range(KEY.stream, 1000))

        def dropout(h, p=0.5, training=True, inplace=False, t=t, streams=streams):
            if p == 0:
                return h
            key = MaskKey(KEY.seed, next(streams), KEY.step)
            kept = torch.from_numpy(keep_mask(key, (SAMPLES, *h.shape[1:]), p)[t])
            return torch.where(kept, h / (1 - p), 0.0)

        with monkeypatch.context() as patch, torch.no_grad():
            patch.setattr(nn.functional, "dropout", dropout)
            outputs.append(model.train()(**batch, **options))
            model.eval()
    return outputs


def check(found, rows, rounding=1e-12):
    assert type(found) is type(rows[0])
    assert found.keys() == rows[0].keys()
    for name, value in found.items():
        for i, leaf in enumerate(value if isinstance(value, tuple) else [value]):
            row = [row[name][i] if isinstance(value, tuple) else row[name] for row in rows]
            assert torch.allclose(leaf, torch.stack(row), rtol=0, atol=rounding), (name, i)


@pytest.mark.filterwarnings("ignore:torch.vmap cannot take this model.*each input runs")
@pytest.mark.parametrize("kind", ["BertModel", "BertForSequenceClassification"])
def test_bert_is_sampled_as_a_loop_with_the_same_masks_samples_it(kind, monkeypatch):
    """All that it returns: states and attentions of every layer too."""
    model, options = bert(kind, "eager"), {"output_attentions": True, "output_hidden_states": True}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = predict(model, sentences(), SAMPLES, shared=options, key=KEY)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(layer.training for layer in model.modules())
    check(found, one_by_one(model, sentences(), monkeypatch, **options))
    assert (found["hidden_states"][1].std(0) > 0).all()


@pytest.mark.filterwarnings("ignore:torch.vmap cannot take this model.*each input runs")
def test_berts_fused_attention_drops_the_same_weights():
    found, expected = (
        predict(bert("BertForSequenceClassification", kind), sentences(), SAMPLES, key=KEY)
        for kind in ("sdpa", "eager")
    )
    assert torch.allclose(found.logits, expected.logits, rtol=0, atol=1e-12)


def test_bert_without_padding_runs_as_one_batch(monkeypatch):
    model, batch = bert("BertModel", "eager"), {"input_ids": sentences()["input_ids"]}
    check(predict(model, batch, SAMPLES, key=KEY), one_by_one(model, batch, monkeypatch))


@pytest.mark.parametrize(("attention", "rounding"), [("eager", 1e-12), ("sdpa", 1e-7)])
def test_vit_is_sampled_as_a_loop_with_the_same_masks_samples_it(attention, rounding, monkeypatch):
    """Its attention that is not fused takes the softmax in float32."""
    batch = {"pixel_values": inputs(3, 3, 8, 8)}
    found = predict(vit(attention), batch, SAMPLES, key=KEY)
    check(found, one_by_one(vit("eager"), batch, monkeypatch), rounding)
