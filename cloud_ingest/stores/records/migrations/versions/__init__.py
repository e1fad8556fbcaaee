"""One file for each change; a released one is never edited."""
