# ctrl-exec as container images: docs/containers.md says how they are used.
#
#   docker build .                        the program alone (target `scratch`)
#   docker build --target alpine .        with a shell and the entrypoint scripts
#   docker build --target dispatcher .    what compose.yml builds, and --target agent
#
# Where the base images come from is the builder's business: --build-arg BUILD_IMAGE=…, --build-arg ALPINE_IMAGE=…
ARG BUILD_IMAGE=debian:12-slim
ARG ALPINE_IMAGE=alpine:3.21

# --- the program, static ---------------------------------------------------------------------------------------
FROM ${BUILD_IMAGE} AS build
WORKDIR /src
# First what changes rarely: the compiler and the third-party sources stay in the builder's cache.
COPY dev ./
COPY subprojects subprojects
RUN ./dev deps
COPY meson.build meson_options.txt ./
COPY core core
COPY net net
COPY cmd cmd
COPY test/bench test/bench
COPY test/fleet test/fleet
RUN ./dev build

# --- what all images have in common ----------------------------------------------------------------------------
# The volumes' directories are open to every user, with the sticky bit, like /tmp: a new volume takes their mode, so
# the program can start on it as the image's user, as root, and as any --user UID:GID. Its secrets are files of 0600.
FROM build AS layout
RUN set -e; mkdir -p /image/usr/bin; cp build/release/ctrl-exec /image/usr/bin/; \
    for link in $(/image/usr/bin/ctrl-exec --list-links); do ln -s ctrl-exec "/image/usr/bin/$link"; done; \
    for volume in etc/ctrl-exec var/lib/ctrl-exec etc/ctrl-exec-agent opt/ctrl-exec-scripts \
            var/lib/ctrl-exec-agent; do \
        mkdir -p "/image/volumes/$volume"; chmod 1777 "/image/volumes/$volume"; \
    done

# --- a shell, and the entrypoint scripts to extend -------------------------------------------------------------
FROM ${ALPINE_IMAGE} AS alpine
LABEL org.opencontainers.image.title="ctrl-exec" \
      org.opencontainers.image.description="Runs scripts on remote hosts, and only those that each host's own list allows" \
      org.opencontainers.image.version="0.9.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# Both names are the user 7440: `chown root:ctrl-exec-agent` works here, and so does `--user 7440:7440`.
RUN set -e; for name in ctrl-exec-agent ctrl-exec; do \
        grep -q "^$name:" /etc/group || echo "$name:x:7440:" >>/etc/group; \
        grep -q "^$name:" /etc/passwd || echo "$name:x:7440:7440:ctrl-exec:/:/sbin/nologin" >>/etc/passwd; \
    done
COPY --from=layout /image/usr/ /usr/
COPY --from=layout /image/volumes/ /
COPY packaging/auth-hook.example /opt/ctrl-exec/etc/auth-hook.example
COPY packaging/alpine/dispatcher-entrypoint.sh packaging/alpine/agent-entrypoint.sh /
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["/usr/bin/ctrl-exec", "healthcheck"]
ENTRYPOINT ["/usr/bin/ctrl-exec"]

FROM alpine AS dispatcher
ENV ROLE=dispatcher
EXPOSE 7444 7445
VOLUME ["/etc/ctrl-exec", "/var/lib/ctrl-exec"]
ENTRYPOINT ["/dispatcher-entrypoint.sh"]

FROM alpine AS agent
ENV ROLE=agent
EXPOSE 7443
VOLUME ["/etc/ctrl-exec-agent", "/opt/ctrl-exec-scripts", "/var/lib/ctrl-exec-agent"]
ENTRYPOINT ["/agent-entrypoint.sh"]

# --- the default: the program alone, for both roles (ROLE=dispatcher, ROLE=agent) --------------------------------
FROM scratch
LABEL org.opencontainers.image.title="ctrl-exec" \
      org.opencontainers.image.description="Runs scripts on remote hosts, and only those that each host's own list allows" \
      org.opencontainers.image.version="0.9.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=layout /image/usr/ /usr/
COPY --from=layout /image/volumes/ /
USER 7440:7440
STOPSIGNAL SIGTERM
EXPOSE 7443 7444 7445
VOLUME ["/etc/ctrl-exec", "/var/lib/ctrl-exec", "/etc/ctrl-exec-agent", "/opt/ctrl-exec-scripts", \
        "/var/lib/ctrl-exec-agent"]
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["/usr/bin/ctrl-exec", "healthcheck"]
ENTRYPOINT ["/usr/bin/ctrl-exec"]
