"""Which provider is better on our own pictures: who answers which picture, what is compared, and what may be concluded from it.

terms        what an experiment is
assignment   which arm a unit belongs to
matching     which box of one answer is which of another
scoring      one answer against another, counted
metrics      counts as quantities with a name
statistics   intervals, tests that may be looked at every day, how many pictures are still needed
report       all of it together, and the verdict in one sentence
store        what is kept, in the gateway's database
live         clients' pictures in experiments: the split in the request, everything else off its path
"""
