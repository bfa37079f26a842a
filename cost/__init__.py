"""Money: prices, budgets, the ledger and the choice of a provider. Knows no vision and no HTTP."""
