"""Coins that are shared where they should not be."""

from collections.abc import Iterator
from math import log, prod

from torch import Tensor

from dropout.audit.calls import CHANNELS
from dropout.audit.case import CHANCE, Case, coin_shape, found
from dropout.audit.facts import Site
from dropout.audit.finding import Finding


def wrong_shapes(case: Case) -> Iterator[Finding]:
    """Dropout of channels on tensors of another rank."""
    for index, site in case.acting():
        if site.name not in CHANNELS or len(site.shape) in CHANNELS[site.name]:
            continue
        rank, wanted = len(site.shape), CHANNELS[site.name][0]
        if rank > wanted:
            continue
        unbatched = site.name in ("dropout1d", "dropout3d") and rank == wanted - 1
        if unbatched and case.batch_axis(index) != 0:
            continue  # one example without a batch axis, which is allowed
        shape = coin_shape(site, case.training) or ()
        coins, numbers = prod(shape), prod(site.shape)
        if unbatched:
            what = f"whole examples: all {numbers // site.shape[0]} numbers of one together"
        elif coins == numbers:
            what = "single numbers, as plain dropout does"
        else:
            axes = " x ".join(str(n) for n in shape if n > 1)
            what = f"{axes} slices of {numbers // max(coins, 1)} numbers"
        yield found(
            "wrong-shape", site.place,
            {"shape": list(site.shape), "rank": rank, "coins": coins, "numbers": numbers,
             "numbers_per_coin": numbers / max(coins, 1)},
            f"{site.name} is made for {wanted} axes and gets {rank}, {tuple(site.shape)}: "
            f"{coins} coins for {numbers} numbers drop {what}.",
            "likely", _mend(site.name, rank, wanted),
        )  # fmt: skip


def _mend(name: str, rank: int, wanted: int) -> str:
    if name == "feature_alpha_dropout":
        return "nn.AlphaDropout for (examples, features)"
    if rank == 2:
        return "nn.Dropout for (examples, features)"
    if rank == 3:
        return "nn.Dropout1d for (examples, channels, length)"
    return f"unsqueeze it to {wanted} axes" if rank < 4 else "nn.Dropout2d for (N, C, H, W)"


def shared_over_batch(case: Case) -> Iterator[Finding]:
    """Masks that code makes by itself, one for all examples."""
    for index, site in case.acting():
        if not site.custom or site.on_parameter or site.mask is None or site.mask.numel() < 2:
            continue
        axis, other = case.batch_axis(index), case.doubled.get(index)
        if axis is None or other is None or other.mask is None:
            continue
        rows = other.shape[axis]
        if not _shared(other, axis):
            continue
        sure = len(case.batch_axes) == 1
        p = float(site.mask.eq(0).double().mean())
        yield found(
            "shared-over-batch", site.place,
            {"shape": list(site.shape), "mask_shape": list(site.mask.shape), "batch_axis": axis,
             "rows_compared": rows, "masks_among_them": 1, "p": p},
            f"the mask of shape {tuple(site.mask.shape)} for numbers of shape {tuple(site.shape)} "
            f"is the same for all examples, along axis {axis}: {rows} rows, 1 mask.",
            "likely" if sure else "possible",
            "draw the mask with a coin for each example: torch.rand_like(x)",
        )  # fmt: skip


def _shared(site: Site, axis: int) -> bool:
    """Whether the mask does not vary along an axis, beyond chance."""
    mask: Tensor = site.mask  # type: ignore[assignment]
    mask = mask.reshape((1,) * (len(site.shape) - mask.dim()) + tuple(mask.shape))
    if mask.dim() != len(site.shape) or mask.numel() < 2:
        return False
    if mask.shape[axis] == 1:
        return True
    if mask.shape[axis] != site.shape[axis]:
        return False
    first = mask.narrow(axis, 0, 1)
    if not bool((mask == first).all()):
        return False
    share = min(max(float(mask.eq(0).double().mean()), 0.02), 0.98)
    coins = first.numel() * (mask.shape[axis] - 1)
    return -coins * log(share**2 + (1 - share) ** 2) > -log(CHANCE)
