"""`python -m gateway`: the same as `vision-gateway`."""

from gateway.cli import main

main()
