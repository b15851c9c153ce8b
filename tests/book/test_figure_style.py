"""The style of figures: the page's typeface, one weight of titles, nothing too small to read."""

import io
import logging
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import font_manager

from dropout import figures
from dropout.figures.style import FONT, FONTS

SMALLEST = 8.5  # points


@pytest.fixture
def styled():
    with plt.rc_context():
        figures.use_style()
        fig, ax = plt.subplots()
        yield fig, ax
        plt.close(fig)


def drawn(fig) -> str:
    svg = io.StringIO()
    fig.savefig(svg, format="svg", bbox_inches="tight")
    return svg.getvalue()


def font_of(text) -> str:
    return Path(font_manager.findfont(text.get_fontproperties())).name


@pytest.mark.parametrize("times", [1, 3])
def test_the_style_finds_its_fonts_however_often_it_is_used(times):
    with plt.rc_context():
        for _ in range(times):
            figures.use_style()
    found = [f for f in font_manager.fontManager.ttflist if f.name == FONT]
    assert sorted((f.style, f.weight) for f in found) == [
        ("italic", 400),
        ("normal", 400),
        ("normal", 700),
    ]


def test_labels_and_titles_are_in_the_pages_typeface(styled):
    fig, ax = styled
    ax.set(title="A finding", xlabel="rate p")
    figures.title(fig, "A finding over all panels")
    assert font_of(ax.xaxis.label) == "dropout-sans-regular.ttf"
    over_all = fig.get_suptitle() and fig._suptitle
    for each in (ax.title, ax._left_title, over_all):
        assert font_of(each) == "dropout-sans-semibold.ttf"
    assert (over_all.get_ha(), over_all.get_position()[0]) == ("left", 0)
    assert over_all.get_fontsize() == ax._left_title.get_fontsize()


def test_signs_of_mathematics_are_drawn_without_a_warning(styled, caplog):
    fig, ax = styled
    signs = "θ̂ ∈ ℝⁿ, ‖x‖² ≤ 3 × 10⁻³, ∇ ∝ ∼ √ ∑ ∞ ≈ → 𝔼"
    ax.set_title(signs)
    ax.set_xlabel(signs, style="italic")
    ax.set_ylabel(
        r"$\mathbb{E}\,\tilde h_j = \frac{p}{q} \sum_k \hat\theta_k^2 \odot \nabla\mathcal{L}$"
        r" $\mathbf{x} \mathrm{Var} \mathsf{s} \varepsilon \propto \sim \in \|w\|$"
    )
    ax.set(xscale="log", xlim=(1e-3, 1))
    with caplog.at_level(logging.WARNING, "matplotlib"):
        svg = drawn(fig)
    assert not caplog.records
    assert len(svg) < 100_000


def test_no_text_of_the_style_is_too_small(styled):
    fig, ax = styled
    ax.plot([0, 1], label="a line")
    ax.set(title="A finding", xlabel="time (s)", ylabel="height (m)")
    ax.legend(title="kinds")
    ax.annotate("here", (0, 0))
    fig.draw_without_rendering()
    texts = fig.findobj(lambda each: hasattr(each, "get_fontsize") and each.get_text())
    assert texts
    assert min(text.get_fontsize() for text in texts) >= SMALLEST


def test_no_axis_strikes_through_the_label_of_a_curve(styled):
    fig, ax = styled
    figures.curve(ax, np.arange(3.0), np.zeros((2, 3)), "training", "blue")
    ax.set_ylim(0, 1)
    fig.draw_without_rendering()
    (label,) = ax.texts
    assert label.get_window_extent().x0 > ax.spines["bottom"].get_window_extent().x1


def test_the_licence_travels_with_the_fonts():
    assert "SIL OPEN FONT LICENSE Version 1.1" in (FONTS / "OFL.txt").read_text("utf-8")
