# syntax=docker/dockerfile:1
# The server in a container: one static program, no shell, not root. What it keeps is
# in /data; the rest may be read-only. See docs/how-to/deploy-docker.md.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH
ARG VERSION=dev COMMIT= DATE=
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT -X main.date=$DATE" \
      -o /out/concierge ./cmd/concierge \
 && mkdir -m 0700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/concierge /concierge
# An image is kept by its registry: no copy of the program is needed to go back.
ENV CONCIERGE_DATA=/data CONCIERGE_ADDR=:8402 CONCIERGE_KEEP_PROGRAMS=0
USER 65532:65532
VOLUME /data
EXPOSE 8402
# Calls and payments under way come to their end: give it a minute (--stop-timeout 60).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/concierge", "healthcheck"]
ENTRYPOINT ["/concierge"]
CMD ["serve"]
