"""Simulated devices: which there are, what they measure, and the truth about it. Never imported at run time of an agent."""
