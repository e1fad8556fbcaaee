"""The console: one page that explains itself, and the JSON interface. The only door of the web framework."""
