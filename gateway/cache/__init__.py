"""One paid call for one picture: answers that are kept, and identical requests that wait for the first.

sharing   the story: wait, look, ask, keep
results   finding and keeping answers        keys      what must be the same for an answer to serve
flight    identical requests in one process  values    an answer as bytes, and written from them
shared_flight    ... and over all replicas   store     where bytes are: Redis, or this process
valkey    the embedded server                link      Redis with its circuit: a convenience, never a need
"""
