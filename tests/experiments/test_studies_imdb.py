"""The studies of IMDB's reviews: words, splits, networks and penalties on cases that are known."""

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad, minimize
from scipy.sparse import csr_array

from dropout.experiments.film_reviews import Texts, split, words
from dropout.experiments.studies import imdb_logistic, imdb_network
from dropout.experiments.studies.imdb_logistic import (
    Bags,
    codes,
    fit_penalised,
    fit_sampled,
    gain,
    matrix,
    penalised,
)
from dropout.experiments.studies.imdb_network import Numbered, network, rows, train
from dropout.experiments.study import Finished
from dropout.nn import Dropout
from dropout.theory.penalties import expected_logistic_loss, glm_penalty
from dropout.training.reviews import Review

REVIEWS = 25_000  # of each file


def reviews():
    """Two files of reviews that are their own numbers."""
    files = ([str(k) for k in range(REVIEWS)], [f"t{k}" for k in range(REVIEWS)])
    return tuple(
        [Review(int(2 * k >= REVIEWS), 10, k, text) for k, text in enumerate(texts)]
        for texts in files
    )


@pytest.fixture(scope="module")
def parts():
    return split(load=reviews)


def test_the_parts_are_of_the_stated_sizes_and_no_review_is_in_two(parts):
    sizes = {part: len(texts.texts) for part, texts in parts.items()}
    assert sizes == {"train": 20_000, "validation": 5_000, "test": 25_000}
    assert len({text for texts in parts.values() for text in texts.texts}) == 50_000


def test_every_part_holds_both_classes_about_equally_and_each_label_is_its_reviews(parts):
    for texts in parts.values():
        assert abs(texts.labels.mean() - 0.5) < 0.02
        numbers = np.array([int(text.lstrip("t")) for text in texts.texts])
        assert np.array_equal(texts.labels, 2 * numbers >= REVIEWS)


def test_fewer_examples_are_the_first_of_each_part(parts):
    for part, texts in split(10, reviews).items():
        assert texts.texts == parts[part].texts[:10]
        assert np.array_equal(texts.labels, parts[part].labels[:10])


def test_words_are_small_letters_digits_and_apostrophes():
    assert words("Don't<br /><br />go, 10/10: NEVER!") == ["don't", "go", "10", "10", "never"]


# ---- the network --------------------------------------------------------------------------------


def test_a_review_is_the_numbers_of_its_first_words_with_nothing_behind():
    length = imdb_network.LENGTH
    texts = Texts(["b a x a", "a " * (length + 9), ""], np.array([0, 1, 0]))
    found = rows(texts, {"a": 2, "b": 3})
    assert found.shape == (3, length)
    assert found[0, :5].tolist() == [3, 2, imdb_network.UNKNOWN, 2, imdb_network.NOTHING]
    assert (found[1] == 2).all()
    assert (found[2] == imdb_network.NOTHING).all()


def test_the_frequent_words_are_those_of_the_training_part_the_most_frequent_first(monkeypatch):
    made = {
        "train": Texts(["a b", "b c", "b c"], np.array([0, 1, 1])),
        "validation": Texts(["d d d d a"], np.array([0])),
        "test": Texts(["c b"], np.array([1])),
    }
    monkeypatch.setattr(imdb_network, "split", lambda examples: made)
    monkeypatch.setattr(imdb_network, "VOCABULARY", 2)
    found = imdb_network.numbered.__wrapped__()
    assert found["train"].x[:, :2].tolist() == [[1, 2], [2, 3], [2, 3]]  # b is 2, c is 3
    assert found["validation"].x[0, :6].tolist() == [1, 1, 1, 1, 1, 0]
    assert found["test"].x[0, :3].tolist() == [3, 2, 0]
    assert found["test"].y.tolist() == [1]


def test_the_mean_is_that_of_the_words_that_are_there():
    bag = network("mean", width=4, p=0.5)[0]
    x = torch.tensor([[5, 7, 5, 0, 0]])
    expected = (2 * bag.weight[5] + bag.weight[7]) / 3
    torch.testing.assert_close(bag(x)[0], expected)


@pytest.mark.parametrize("layout", ["mean", "flat"])
def test_dropout_stands_before_each_of_three_linear_layers(layout):
    model = network(layout, width=16, p=0.3)
    linear = [k for k, layer in enumerate(model) if isinstance(layer, torch.nn.Linear)]
    assert len(linear) == 3
    assert all(isinstance(model[k - 1], Dropout) and model[k - 1].p == 0.3 for k in linear)
    x = torch.randint(1, 100, (5, imdb_network.LENGTH))
    assert model(x).shape == (5, 2)


@pytest.fixture
def few_reviews(monkeypatch):
    """Data whose label is whether the first word is below 50: easily learned."""
    draw = torch.Generator().manual_seed(0)
    found = {}
    for part in imdb_network.PARTS:
        x = torch.randint(2, 100, (300, imdb_network.LENGTH), generator=draw)
        x[:, 1:] = x[:, :1]
        found[part] = Numbered(x, (x[:, 0] < 50).long())
    monkeypatch.setattr(imdb_network, "numbered", lambda device, examples: found)


SETTINGS = {
    "arm": "mean-half", "layout": "mean", "width": 16, "p": 0.5, "lr": 0.01, "seed": 1,
    "device": "cpu",
}  # fmt: skip


def test_tuning_measures_validation_data_alone_after_each_epoch(few_reviews):
    found = train(judge="validation", epochs=3, **SETTINGS)
    assert found.keys() == {"at", "validation"}
    assert found["at"] == [1, 2, 3]
    assert len(found["validation"]["loss"]) == len(found["validation"]["error"]) == 3


def test_a_final_run_is_measured_when_it_is_to_stop_and_in_the_end(few_reviews):
    tuned = train(judge="validation", epochs=8, **SETTINGS)["validation"]
    final = train(judge="test", epochs=8, stop=2, **SETTINGS)
    assert final["validation"] == {name: tuned[name][1] for name in ("loss", "error")}
    assert final["long"]["validation"] == {name: tuned[name][7] for name in ("loss", "error")}
    assert final["long"]["test"]["loss"] < final["test"]["loss"]  # it has learned meanwhile
    assert train(judge="test", epochs=8, stop=2, **SETTINGS) == final
    last = train(judge="test", epochs=8, stop=8, **SETTINGS)
    assert last["test"] == last["long"]["test"] == final["long"]["test"]


def test_the_summary_tells_accuracies_when_stopped_and_in_the_end():
    def result(error):
        return {part: {"loss": 0.1, "error": error} for part in imdb_network.PARTS}

    curves = {"at": [1], "validation": {"loss": [0.1], "error": [10.0]}}
    tuned = [Finished(each, curves, 1.0, {}) for each in imdb_network.STUDY.plan([])[1:]]
    fixed = {"stage": "final", "arm": "flat-none", "judge": "test", "layout": "flat", "p": 0.0}
    fixed |= {"lr": 0.001, "width": 32, "stop": 1}
    finals = [
        Finished(fixed | {"seed": seed}, result(10.0 + seed) | {"long": result(20.0)}, 1.0, {})
        for seed in (2, 1)  # whichever ended first
    ]
    found = imdb_network.STUDY.summary(tuned + finals)["arms"]["flat-none"]
    assert found["stopped"]["validation"]["accuracy"]["values"] == [89.0, 88.0]
    assert found["long"]["train"]["accuracy"]["mean"] == 80.0
    assert found["test"]["error"]["mean"] == 11.5


# ---- logistic regression ------------------------------------------------------------------------


def some_bags(n=300, d=5):
    """Reviews of five features, more of the first in the one class and of the last in the other."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, n)
    rates = np.where(y[:, None] == 1, np.linspace(0.7, 0.2, d), np.linspace(0.2, 0.7, d))
    x = (draw.random((n, d)) < rates).astype(float)
    return Bags(csr_array(np.column_stack([x, np.ones(n)])), y), x


def test_logistic_regression_on_another_device_is_refused():
    given = {key: value for key, value in imdb_logistic.STUDY.check.items() if key != "stage"}
    with pytest.raises(ValueError, match="done on the CPU: leave out --device cuda"):
        imdb_logistic.train(**given, device="cuda")


def test_a_review_has_each_word_and_each_pair_of_adjacent_words_once():
    number = {}
    assert codes(["a", "b", "a", "b"], number, False).tolist() == [0, 1]
    found = codes(["a", "b", "a", "b"], number, True)
    words = imdb_logistic.WORDS
    assert found.tolist() == [0, 1, words + 1, 2 * words]  # a, b, ab, ba
    assert codes(["c"], number, True).tolist() == [2]
    assert codes([], number, True).tolist() == []
    assert number == {"a": 0, "b": 1, "c": 2}


def test_a_matrix_has_the_known_features_and_then_the_constant_one():
    found = matrix([np.array([0, 3, 9]), np.array([], int), np.array([5])], np.array([3, 5, 8]))
    assert found.toarray().tolist() == [[1, 0, 0, 1], [0, 0, 0, 1], [0, 1, 0, 1]]


def test_features_are_those_of_two_reviews_of_the_training_part(monkeypatch):
    made = {
        "train": Texts(["a b", "a c c"], np.array([0, 1])),
        "validation": Texts(["a b"], np.array([0])),
        "test": Texts(["b b d"], np.array([1])),
    }
    monkeypatch.setattr(imdb_logistic, "split", lambda examples: dict(made))
    tuning = imdb_logistic.bags.__wrapped__(True, whole=False)
    assert tuning["train"].x.toarray().tolist() == [[1, 1], [1, 1]]  # a, and the constant
    assert tuning["validation"].y.tolist() == [0]
    final = imdb_logistic.bags.__wrapped__(True, whole=True)
    assert final["train"].x.toarray().tolist() == [  # a, b, ab, and the constant
        [1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1],
    ]  # fmt: skip
    assert final["train"].y.tolist() == [0, 1, 0]
    assert final["test"].x.toarray().tolist() == [[0, 1, 0, 1]]
    assert "validation" not in final


def test_the_penalised_loss_is_that_of_the_paper_without_a_penalty_on_the_constant():
    data, x = some_bags()
    w, p, l2 = np.array([0.5, -1.0, 2.0, 0.3, -0.7, 0.4]), 0.3, 0.05
    z = x @ w[:-1] + w[-1]
    probability = 1 / (1 + np.exp(-z))
    loss = -np.log(np.where(data.y == 1, probability, 1 - probability)).mean()
    penalty = glm_penalty(x, w[:-1], p, probability * (1 - probability)) / len(x)
    expected = loss + penalty + l2 / 2 * (w[:-1] ** 2).sum()
    assert penalised(w, data, l2, p)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_the_gradient_is_that_of_the_penalised_loss(p):
    data, _ = some_bags()
    for w in np.random.default_rng(1).normal(size=(3, 6)):
        off = check_grad(
            lambda w: penalised(w, data, 0.05, p)[0], lambda w: penalised(w, data, 0.05, p)[1], w
        )
        assert off < 1e-6


def test_the_fit_has_no_gradient_left():
    data, _ = some_bags()
    w = fit_penalised(data, l2=0.01, p=0.5)
    assert np.abs(penalised(w, data, 0.01, 0.5)[1]).max() < 1e-4
    assert np.abs(penalised(np.zeros(6), data, 0.01, 0.5)[1]).max() > 1e-2


def test_sampled_masks_lead_to_the_least_of_the_exact_expected_loss():
    data, x = some_bags()
    p, l2 = 0.5, 0.01

    def exact(w):
        loss = expected_logistic_loss(x, data.y, w[:-1], float(w[-1]), p) / len(x)
        return loss + l2 / 2 * (w[:-1] ** 2).sum()

    best = minimize(exact, np.zeros(6))
    found = fit_sampled(data, l2=l2, p=p, seed=0, epochs=3000)
    plain = fit_penalised(data, l2=l2, p=0.0)
    assert np.abs(found - best.x).max() < 0.03
    assert np.abs(plain - best.x).max() > 0.2
    assert exact(found) - best.fun < 1e-4
    again = fit_sampled(data, l2=l2, p=p, seed=0, epochs=20)
    assert np.array_equal(again, fit_sampled(data, l2=l2, p=p, seed=0, epochs=20))
    assert not np.array_equal(again, fit_sampled(data, l2=l2, p=p, seed=1, epochs=20))


def test_a_gain_is_the_mean_over_pairs_of_right_and_wrong():
    base = {"wrong": bytes([0b11110000]).hex()}
    other = {"wrong": bytes([0b11000001]).hex()}
    found = gain(base, other)  # two of eight better, one worse
    assert found["mean"] == pytest.approx(12.5)
    differences = np.array([0, 0, 1, 1, 0, 0, 0, -1])
    assert found["half"] == pytest.approx(
        1.959964 * 100 * differences.std(ddof=1) / 8**0.5, rel=1e-6
    )


def test_what_draws_nothing_has_one_final_run_and_dropout_five():
    study = imdb_logistic.STUDY
    tuned = [
        Finished(run, {"at": [1], "validation": {"loss": [0.3], "error": [10 + run["p"]]}}, 1.0, {})
        for run in study.runs([])
    ]
    assert len(tuned) == 7 * 12
    final = [run for run in study.runs(tuned) if run["stage"] == "final"]
    count = {arm: sum(run["arm"] == arm for run in final) for arm in imdb_logistic.ARMS}
    assert count == {arm: 5 if "sampled" in arm else 1 for arm in imdb_logistic.ARMS}
    part = {"loss": 0.3, "error": 12.0}
    finished = tuned + [
        Finished(run, {"train": part, "test": part, "wrong": "ff"}, 1.0, {}) for run in final
    ]
    found = study.summary(finished)["arms"]["pairs-sampled"]
    assert found["chosen"]["point"]["p"] == 0.3
    assert len(found["test"]["error"]["values"]) == 5
    assert len(found["grid"]) == 12
    assert found["gain"]["mean"] == 0
