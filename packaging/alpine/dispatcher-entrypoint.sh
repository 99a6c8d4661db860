#!/bin/sh
# First start and start of the dispatcher's container. What it does is in the program (`ctrl-exec entrypoint`), so
# that images without a shell do the same; this script is the place for what your deployment adds.
set -eu

# Writes what is missing on the volumes: ctrl-exec.conf from the environment, the CA, the dispatcher's certificate.
# An existing file is never overwritten.
ctrl-exec entrypoint dispatcher --configure

# --- your additions: they run at each start, after the configuration exists and before the API listens ------------

exec ctrl-exec entrypoint dispatcher
