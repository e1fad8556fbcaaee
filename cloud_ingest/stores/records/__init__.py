"""The relational records: one transaction takes readings in, everything else reads or acts under the same locks."""
