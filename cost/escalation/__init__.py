"""Whether one more provider is worth its price."""
