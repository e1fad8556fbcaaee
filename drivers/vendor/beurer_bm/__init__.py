"""Cuffs of Beurer's whose frames look like the standard's and are not: BM48, BM59, BM85."""
