"""The kernel: model, driver contract, wire and runtime. Imports none of the other packages, ever."""
