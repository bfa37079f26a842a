"""What is said of a file that can't be understood."""


def told(error: Exception) -> str:
    """A missing key by its name; everything else in the error's own words, without its class."""
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)
