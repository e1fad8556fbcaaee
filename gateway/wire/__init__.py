"""What crosses the network: topics, envelopes, receipts, the ledger question, status. No transport here."""
