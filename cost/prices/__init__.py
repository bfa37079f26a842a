"""Price sheets, one file a provider; `README.md` shows their form."""
