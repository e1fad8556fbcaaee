"""Benchmarks: what one reading costs, and how soon it is seen. Measures the product as it is; changes nothing in it."""
