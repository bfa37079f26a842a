"""The in-house model, on its own feet: torch lives here and nowhere else, and nothing here knows the gateway."""
