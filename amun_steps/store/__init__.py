"""The store: addresses, receipts, the decorator of a step, and what reads the receipts."""
