# make demo         speaks a file through a replica, on a fresh machine
# make test         runs the whole suite, on a fresh machine
# make build        builds bin/echocast, and bin/echocast-server for LiveKit rooms
# make install      puts both into $(DESTDIR)$(PREFIX)/bin; PREFIX is /usr/local
# make check        does what CI does
# make browser      installs Chromium and daily-js, without which the tests of
#                   rtc/daily and examples are skipped
# make bench        measures, beside other tools, and writes bench/README.md
# make streams      measures 1 to 300 conversations at the same time
# make bench-compare  the stages beside those of the parent commit; fails where
#                   one became slower or allocates more
# make acceptance   speaks ten minutes in real time, and compares
# make fuzz         runs every fuzz target
# make mutate       feeds it 20,000 damaged inputs
# make livekit      builds the livekit-server that tests speak through
#
# With CGO_ENABLED=0, or where no C compiler or library can be had, all of it
# builds one static file without libsoxr and libmpg123.
#
# GO, CC, CGO_ENABLED and PKG_CONFIG_PATH are taken from the environment.

GO          ?= go
PREFIX      ?= /usr/local
BUILD       := $(GO) build -trimpath -tags urfave_cli_no_docs -ldflags "-s -w" -o bin/
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# with-cgo COMMAND: sets up what is missing, and runs a command in the build
# that is possible; $$race is -race where there is cgo.
define with-cgo
@export CGO_ENABLED=$$(scripts/setup.sh) race=; if [ "$$CGO_ENABLED" = 1 ]; then race=-race; fi; set -x; $(1)
endef

.PHONY: demo test browser build install cross static fmt vet staticcheck bench-once bench bench-compare streams fuzz check acceptance mutate livekit clean

demo:
	@mkdir -p bin demo
	$(call with-cgo,$(BUILD) .)
	@bin/echocast send --record demo/heard.wav testdata/speech.wav
	@echo "echocast: what the replica heard is in demo/heard.wav"

test:
	$(call with-cgo,$(GO) test $$race ./...)

browser:
	@scripts/browser.sh

build:
	@mkdir -p bin
	$(call with-cgo,$(BUILD) . ./cmd/echocast-server)

install: build
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/echocast bin/echocast-server $(DESTDIR)$(PREFIX)/bin

# The static build of every system; nothing is run.
cross:
	@for system in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		echo "building for $$system"; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -o /dev/null . || exit 1; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -o /dev/null ./cmd/echocast-server || exit 1; \
	done
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -tags daily_core -o /dev/null .

# The static build of this system, run in an empty root.
static:
	@GO="$(GO)" scripts/static.sh

fmt:
	@bad=$$(gofmt -s -l .); if [ -n "$$bad" ]; then echo "gofmt -s would change:"; echo "$$bad"; exit 1; fi

vet:
	$(call with-cgo,$(GO) vet ./...)

staticcheck:
	$(call with-cgo,$(GO) run $(STATICCHECK) ./...)

# Every benchmark runs once, so that none rots, with few conversations.
bench-once:
	$(call with-cgo,$(GO) test -short -run '^$$' -bench . -benchtime 1x ./...)

# Every stage, and the whole tool beside its peers; some minutes.
bench: build
	@GO="$(GO)" bench/run.sh

# The stages as they are and as they were, by turns; some two minutes.
bench-compare:
	$(call with-cgo,GO="$(GO)" scripts/bench-compare.sh)

# How late messages are while more and more conversations go on; a minute.
streams: build
	bin/echocast bench --streams 1,10,50,100,150,200,300 --seconds 5

# The server that the tests of rtc/livekit need; without it they are skipped.
livekit:
	@GO="$(GO)" scripts/livekit.sh

# What CI runs. Rooms are not entered a second time, since they have no C in
# them, but for hearing the stand-in: without C it speaks mu-law.
check: export ECHOCAST_REQUIRE_BROWSER = 1
check: export ECHOCAST_REQUIRE_LIVEKIT = 1
check: export ECHOCAST_REQUIRE_ESPEAK = 1
check: browser livekit test demo fmt vet staticcheck bench-once cross static fuzz
	CGO_ENABLED=0 $(GO) test $$(CGO_ENABLED=0 $(GO) list ./... | grep -v -e /acceptance -e /examples -e /rtc/)
	CGO_ENABLED=0 $(GO) test -run 'TestThe(Replica|User)IsHeard$$' ./acceptance
	CGO_ENABLED=0 $(GO) test -tags daily_core ./rtc/daily/core

# Ten minutes of audio in real time, between two processes.
acceptance: build
	scripts/acceptance.sh

# Every fuzz target, by count, so that a slow machine tests as much.
fuzz:
	@GO="$(GO)" scripts/fuzz.sh

# 20,000 damaged inputs, each in a process of its own; some minutes.
mutate: build
	$(GO) run ./scripts/mutate -count 20000 bin/echocast

clean:
	rm -rf bin demo mutate-failed
