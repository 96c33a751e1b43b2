# The stand-in replica and the rest of echocast, with libsoxr, libmpg123 and
# libopus. Without arguments it serves a stand-in replica on port 8870, with the
# room key, the certificate and its key from /run/secrets.
FROM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends pkg-config libsoxr-dev libmpg123-dev libopus-dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 go build -trimpath -buildmode=pie -tags urfave_cli_no_docs -ldflags "-s -w" -o /out/ . ./cmd/echocast-server

FROM debian:bookworm-slim
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates libsoxr0 libmpg123-0 libopus0 \
	&& rm -rf /var/lib/apt/lists/* \
	&& useradd --create-home --uid 10001 echocast
COPY --from=build /out/ /usr/local/bin/
COPY LICENSE THIRD-PARTY-NOTICES.txt /usr/share/doc/echocast/
USER echocast
WORKDIR /home/echocast
EXPOSE 8870
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8870"]
ENTRYPOINT ["echocast"]
CMD ["replica", "--listen", "0.0.0.0:8870", "--room-key-file", "/run/secrets/room.key", \
	"--tls-cert", "/run/secrets/cert.pem", "--tls-key", "/run/secrets/key.pem"]
