# The image listens on all interfaces, so it asks for a password:
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t weir .
#   docker run -e WEIR_PASSWORD=… -v weir:/data -p 3306:3306 -p 4222:4222 -p 8080:8080 weir

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY internal/icuregex/go.mod internal/icuregex/
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/weir . \
 && mkdir /out/data

# No shell and no package manager, but certificates, time zones and a user.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/weir /weir
COPY --from=build --chown=nonroot:nonroot /out/data /data
ENV WEIR_DATA=/data \
    WEIR_MYSQL=0.0.0.0:3306 \
    WEIR_NATS=0.0.0.0:4222 \
    WEIR_HTTP=0.0.0.0:8080
USER nonroot
VOLUME /data
EXPOSE 3306 4222 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/weir", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/weir"]
CMD ["serve"]
