"""Drivers for makers' own protocols, one package each; none may know another."""
