"""Stand-ins for the two clouds: they speak the real wire protocols on this machine, and keep a bill of what they would have billed.

`python -m tests.clouds` starts both; `tests.clouds.rekognition.StandIn` and `tests.clouds.google_vision.StandIn` start one in a test.
"""
