"""Between HTTP and our own words, both ways, pure: `request` reads pictures and options, `answer` writes outcomes."""
