"""`vitalgate driver new`: a package that a vendor could publish, with an invented protocol that works and is there to be replaced."""
