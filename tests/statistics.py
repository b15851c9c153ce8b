"""Is a count or a mean of random draws what it should be? With a stated chance of a false alarm."""

from scipy.stats import binom, norm

FALSE_ALARM = 1e-6


def plausible_count(count: int, draws: int, probability: float) -> bool:
    """Whether `count` lies between the two binomial quantiles that cut off 1e-6 together."""
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], draws, probability)
    return low <= count <= high


def plausible_mean(mean: float, expected: float, standard_error: float) -> bool:
    """Whether a mean of many draws lies where a normal one does but for 1e-6, two-sided."""
    return abs(mean - expected) <= norm.isf(FALSE_ALARM / 2) * standard_error
