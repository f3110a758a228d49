# syntax=docker/dockerfile:1
# The image of a release: what /Dockerfile makes, of the programs that are in the
# archives as well (.goreleaser.yaml). Its folder has them by platform, and what `make
# release-files` leaves in bin/release/image.
FROM scratch
ARG TARGETPLATFORM
COPY bin/release/image/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chown=65532:65532 --chmod=0700 bin/release/image/data /data
COPY $TARGETPLATFORM/concierge /concierge
ENV CONCIERGE_DATA=/data CONCIERGE_ADDR=:8402 CONCIERGE_KEEP_PROGRAMS=0
USER 65532:65532
VOLUME /data
EXPOSE 8402
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/concierge", "healthcheck"]
ENTRYPOINT ["/concierge"]
CMD ["serve"]
