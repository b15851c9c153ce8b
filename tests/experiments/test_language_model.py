"""The text of the study of language models is read as it says, and its networks learn."""

from collections import Counter

import pytest
import torch

from dropout.experiments import language_model, read
from dropout.experiments.language_model import (
    LENGTH,
    WORDS,
    LanguageModel,
    batches,
    judge,
    loss,
    split_words,
    train,
    windows,
)
from dropout.training.reviews import Review


def test_words_numbers_and_marks_come_apart():
    assert split_words("A 10/10!<br /><br />Caf\u00e9s") == [
        *("a", "10", "/", "10", "!"),
        *("caf", "\u00e9", "s", "\n"),
    ]


def test_windows_overlap_by_the_word_that_is_given_and_foretold():
    rows = windows(range(13), length=4)
    assert rows.tolist() == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [8, 9, 10, 11, 12]]


@pytest.mark.parametrize(("rows", "passes"), [(24, 1), (8, 3), (6, 4)])
def test_each_window_is_read_once_a_pass(rows, passes):
    text = torch.arange(rows)[:, None].expand(-1, 5)
    seen = torch.cat([batch[:, 0] for batch in batches(text, 6, batch=4)])
    assert Counter(seen.tolist()) == dict.fromkeys(range(rows), passes)
    for k in range(passes):
        assert len(set(seen[k * rows : (k + 1) * rows].tolist())) == rows


def test_no_word_sees_the_next():
    torch.manual_seed(0)
    model = LanguageModel(0.1).eval()
    tokens = torch.randint(WORDS, (2, LENGTH))
    other = tokens.clone()
    other[:, 20:] = torch.randint(WORDS, (2, LENGTH - 20))
    torch.testing.assert_close(model(tokens)[:, :20], model(other)[:, :20])
    assert not torch.allclose(model(tokens)[:, 20:], model(other)[:, 20:])


def test_rate_acts_in_training_alone():
    torch.manual_seed(0)
    text = torch.randint(WORDS, (4, LENGTH + 1))
    for p in (0.0, 0.3):
        model = LanguageModel(p)
        assert (loss(model, text) == loss(model, text)).item() == (p == 0)
        assert judge(model, text) == judge(model, text)
        assert model.training


def test_training_yields_the_model_on_its_way_and_lowers_the_loss():
    torch.manual_seed(0)
    text = torch.randint(20, (16, LENGTH + 1))
    losses = [judge(m, text)[0] for m in train(0.1, text, lr=0.01, seed=1, steps=60, points=3)]
    assert len(losses) == 3
    assert losses[-1] < losses[0] - 0.5


def test_texts_are_of_the_stated_size_and_do_not_overlap(monkeypatch):
    reviews = [Review(0, 1, k, f"word{k} the film") for k in range(60_000)]
    monkeypatch.setattr(language_model, "imdb", lambda: (reviews, reviews))
    monkeypatch.setattr(language_model, "texts", language_model.texts.__wrapped__)
    parts = language_model.texts()
    assert [len(part) for part in parts] == [
        language_model.WINDOWS,
        language_model.VALIDATION,
        language_model.TEST,
    ]
    assert all(part.shape[1] == LENGTH + 1 and part.max() < WORDS for part in parts)
    assert torch.equal(parts[0][1:, 0], parts[0][:-1, -1])


def test_stored_choices_are_those_of_the_stored_curves():
    for arm in read("language_model")["arms"]:
        curves = {float(lr): curve for lr, curve in arm["chosen"]["curves"].items()}
        assert arm["chosen"] == language_model.chosen(curves)
        assert tuple(curves) == language_model.LRS
        assert len(arm["runs"]) == len(language_model.SEEDS)
