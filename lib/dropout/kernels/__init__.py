"""Engines that draw the masks of `dropout.mask` fast: same bits, other means."""
