"""Data sets and loops for training small networks."""
