"""Monte Carlo dropout: a network's predictions under many masks, and what to make of them."""

from dropout.bayes.monte_carlo import precision, predict

__all__ = ["precision", "predict"]
