"""`make demo`: the gateway before stand-ins of the two clouds, with nine weeks of simulated traffic behind it. It costs nothing."""
