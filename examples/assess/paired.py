# SPDX-License-Identifier: MIT
"""Means, intervals and paired tests of few numbers, with nothing beyond Python."""
import itertools
import math
import random

MOST_SIGNS = 12  # up to so many pairs all signs are tried, beyond that DRAWS of them
DRAWS = 10_000


def beta_share(a, b, x):
    """The regularised incomplete beta function, by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_share(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
                     + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 300):
        for k in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                  -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d, c = 1 / (1 + k * d), 1 + k / c
            result *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * result


def t_tail(t, freedom):
    """The probability that Student's t is further from 0 than `t`, on either side."""
    return beta_share(freedom / 2, 0.5, freedom / (freedom + t * t))


def t_quantile(level, freedom):
    """The t beyond which, on either side, a share `level` lies."""
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > level:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, freedom) > level else (low, middle)
    return high


def mean_of(values):
    return math.fsum(values) / len(values)


def interval(values, level):
    """Mean, and the ends of its 1 - `level` confidence interval by Student's t; of one value, or
    none, the ends are not known."""
    if not values:
        return math.nan, math.nan, math.nan
    mean = mean_of(values)
    if len(values) < 2:
        return mean, math.nan, math.nan
    variance = math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1)
    half = t_quantile(level, len(values) - 1) * math.sqrt(variance / len(values))
    return mean, mean - half, mean + half


def paired_t(differences):
    """Two-sided p of the paired t-test; 1 if all differences are 0, or there is one only."""
    n = len(differences)
    if n < 2 or not any(differences):
        return 1.0
    mean = mean_of(differences)
    variance = math.fsum((x - mean) ** 2 for x in differences) / (n - 1)
    if variance == 0:
        return 0.0
    return t_tail(mean / math.sqrt(variance / n), n - 1)


def sign_flips(differences):
    """Two-sided p of the permutation test that gives each difference either sign: the share of all
    2^n sums that are as far from 0; of more than MOST_SIGNS pairs, of DRAWS that are drawn."""
    n = len(differences)
    if n == 0:
        return 1.0
    seen = abs(math.fsum(differences)) * (1 - 1e-12)
    if n <= MOST_SIGNS:
        sums = [abs(math.fsum(s * d for s, d in zip(signs, differences)))
                for signs in itertools.product((1, -1), repeat=n)]
        return sum(one >= seen for one in sums) / len(sums)
    draw = random.Random(1)
    far = sum(abs(math.fsum(draw.choice((1, -1)) * d for d in differences)) >= seen
              for _ in range(DRAWS))
    return (far + 1) / (DRAWS + 1)


def holm(ps):
    """p-values, each for all tests together (Holm, Scandinavian Journal of Statistics 1979): below
    a level, the chance of one false finding among all is at most that level."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    result, most = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, ps[i] * (len(ps) - rank)))
        result[i] = most
    return result
