"""The family: one variant a file, with its shape of coins, its function and its module."""
