"""Ways to a device: one module for each outside library, which translates that library's errors. No protocol here."""
