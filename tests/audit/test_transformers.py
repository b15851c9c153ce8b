"""An audit of models of the transformers library, tiny ones of random weights, finds nothing."""

import pytest
import torch

from dropout.audit import audit

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore", "error:the check")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
RATES = {"hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0.25}
WORDS = {"vocab_size": 50, "max_position_embeddings": 16}


def sentences(**more):
    tokens = torch.randint(50, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(7) < torch.tensor([[7], [5], [3]])
    return {"input_ids": tokens, "attention_mask": mask.long(), **more}


def images():
    return {"pixel_values": torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))}


MODELS = {
    "BertModel": ("BertConfig", {**SIZES, **RATES, **WORDS}, sentences),
    "BertForSequenceClassification": ("BertConfig", {**SIZES, **RATES, **WORDS}, sentences),
    "BertForMaskedLM": (
        "BertConfig",
        {**SIZES, **RATES, **WORDS},
        lambda: sentences(labels=sentences()["input_ids"]),
    ),
    "GPT2LMHeadModel": (
        "GPT2Config",
        {"vocab_size": 50, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2},
        lambda: sentences(labels=sentences()["input_ids"]),
    ),
    "ViTForImageClassification": (
        "ViTConfig",
        {**SIZES, **RATES, "image_size": 8, "patch_size": 4},
        images,
    ),
}


def model_of(name, attention, **more):
    config, options, _ = MODELS[name]
    made = getattr(transformers, config)(attn_implementation=attention, **options, **more)
    torch.manual_seed(1)
    return getattr(transformers, name)(made)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_transformers_has_no_findings(name, attention):
    assert list(audit(model_of(name, attention), **MODELS[name][2]())) == []


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_frozen_body_that_drops_is_found(attention):
    model = model_of("BertForSequenceClassification", attention)
    model.bert.requires_grad_(False)
    (finding,) = audit(model, **sentences())
    assert (finding.kind, finding.module) == ("frozen-but-dropping", "bert")
    assert finding.evidence["rates"] == [0.25]


def test_a_rate_of_1_in_a_configuration_is_found_in_each_layer():
    model = model_of("BertModel", "sdpa")
    for layer in model.encoder.layer:
        layer.output.dropout.p = 1.0
    places = [(f.kind, f.module) for f in audit(model, **sentences())]
    assert places == [("drops-everything", f"encoder.layer.{i}.output.dropout") for i in range(2)]
