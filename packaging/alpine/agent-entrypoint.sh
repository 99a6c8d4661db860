#!/bin/sh
# First start and start of an agent's container. What it does is in the program (`ctrl-exec entrypoint`), so that
# images without a shell do the same; this script is the place for what your deployment adds.
set -eu

# Writes what is missing on the volume: agent.conf and scripts.conf. An existing file is never overwritten.
ctrl-exec entrypoint agent --configure

# --- your additions: they run at each start, after the configuration exists and before pairing and serving --------

exec ctrl-exec entrypoint agent
