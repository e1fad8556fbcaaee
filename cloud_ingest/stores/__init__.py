"""Where the cloud keeps things: the relational records and the time series projected from them."""
