"""Monte Carlo dropout: a network's predictions under many masks, and what to make of them."""

from dropout.bayes.folds import Moments, moments, quantiles
from dropout.bayes.monte_carlo import predict
from dropout.bayes.tau import precision

__all__ = ["Moments", "moments", "precision", "predict", "quantiles"]
