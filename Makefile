# With CGO_ENABLED=0, or where no C compiler or library can be had, everything is
# built as one static file without libsoxr, libmpg123 and libopus.
#
# GO, CC, CGO_ENABLED, PKG_CONFIG_PATH, PREFIX and DESTDIR come from the environment.

GO          ?= go
PREFIX      ?= /usr/local
FOR         ?= 1h
BUILD       := $(GO) build -trimpath -tags urfave_cli_no_docs -ldflags "-s -w" -o bin/
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# with-cgo COMMAND: sets up what is missing, and runs a command in the build
# that is possible. With cgo $$race is -race, and $$pie makes an executable that
# is loaded at a random address.
define with-cgo
@export CGO_ENABLED=$$(scripts/setup.sh) race= pie=; if [ "$$CGO_ENABLED" = 1 ]; then race=-race pie=-buildmode=pie; fi; set -x; $(1)
endef

.DEFAULT_GOAL := help
.PHONY: help demo demo-page test build install browser livekit check fmt vet staticcheck lint vuln cross static bench-once fuzz \
	fuzz-night mutate acceptance bench bench-compare streams soak chaos chaos-short manifests notices packages pages deb image clean

help: ## prints this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

demo: ## speaks a file through a stand-in replica, on a fresh machine
	@mkdir -p bin demo
	$(call with-cgo,$(BUILD) $$pie .)
	@bin/echocast send --rehearse --record demo/heard.wav testdata/speech.wav
	@echo "echocast: what the replica heard is in demo/heard.wav"
	@echo "echocast: to see and hear a replica in a browser: make demo-page, and open the address that it prints"

demo-page: ## shows a stand-in replica in a browser, until Ctrl-C
	@mkdir -p bin
	$(call with-cgo,$(BUILD) .)
	@bin/echocast replica

# The packages whose tests take longest begin first: at the end nothing would run beside them.
LONGEST := ./acceptance ./cli ./rtc/daily . ./cmd/echocast-server ./audio ./examples ./rtc/livekit ./rtc ./gateway \
	./replica/avatar ./room/rest ./replica/join ./replica/serve

# Most tests wait for speech, so more of them run than there are processors. The race
# detector would wait for a second at the end of each of their programs. make vet vets.
test: ## runs all tests, on a fresh machine; some four minutes on two cores, three without a browser and LiveKit
	$(call with-cgo,GORACE=atexit_sleep_ms=0 $(GO) test $$race -vet=off -p 4 -parallel 8 -timeout 15m $(LONGEST) ./...)

build: ## builds bin/echocast, and bin/echocast-server for LiveKit rooms, serve and bridge
	@mkdir -p bin
	$(call with-cgo,$(BUILD) $$pie . ./cmd/echocast-server)

install: build pages ## puts both into $(DESTDIR)$(PREFIX)/bin, with manual pages and completion
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share
	install -m 755 bin/echocast bin/echocast-server $(DESTDIR)$(PREFIX)/bin
	cp -R bin/share/. $(DESTDIR)$(PREFIX)/share

pages: build ## writes the manual pages and the completion for bash, zsh and fish to bin/share
	@scripts/pages.sh

browser: ## installs Chromium, daily-js and WebRTC libraries, which tests of rooms need
	@scripts/browser.sh

livekit: ## builds bin/livekit-server and installs LiveKit's libraries, for tests of LiveKit rooms
	@GO="$(GO)" scripts/livekit.sh

# Rooms are not tested a second time without cgo, because they have no C in
# them. The stand-in is: without cgo it speaks mu-law.
check: export ECHOCAST_REQUIRE_BROWSER = 1
check: export ECHOCAST_REQUIRE_LIVEKIT = 1
check: export ECHOCAST_REQUIRE_ESPEAK = 1
check: export ECHOCAST_REQUIRE_SHELLS = 1
check: export SKIP_TRIALS = 1
check: export COUNT = 500
# Both kinds of Mac compile the same files, and each takes a minute.
check: SYSTEMS = linux/amd64 linux/arm64 darwin/arm64 windows/amd64
check: fmt vet staticcheck lint browser livekit test demo chaos-short vuln bench-once cross static deb fuzz ## does what CI does
	CGO_ENABLED=0 $(GO) test -p 4 -parallel 8 -timeout 15m $$(CGO_ENABLED=0 $(GO) list ./... | grep -v -e /acceptance -e /examples -e /rtc/)
	CGO_ENABLED=0 $(GO) test -run 'TestHear(Replica|User)$$' ./acceptance
	CGO_ENABLED=0 $(GO) test -tags daily_core ./rtc/daily/core

fmt: ## fails if gofmt -s would change a file
	@bad=$$(gofmt -s -l $$(git ls-files '*.go')); if [ -n "$$bad" ]; then echo "gofmt -s would change:"; echo "$$bad"; exit 1; fi

vet: ## runs go vet
	$(call with-cgo,$(GO) vet ./...)

staticcheck: ## runs staticcheck
	$(call with-cgo,$(GO) run $(STATICCHECK) ./...)

lint: ## finds contexts in structs, names that shadow those of the language, and long lines
	$(call with-cgo,GO="$(GO)" scripts/lint.sh)

vuln: ## looks for known vulnerabilities, if the database can be reached
	$(call with-cgo,GO="$(GO)" scripts/vuln.sh)

SYSTEMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

cross: ## compiles the static build for each system, and vets that for Windows
	@for system in $(SYSTEMS); do \
		echo "building for $$system"; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -o /dev/null . || exit 1; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -o /dev/null ./cmd/echocast-server || exit 1; \
	done
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -tags daily_core -o /dev/null .
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) vet ./...

static: ## builds the static file and runs it in an empty root
	@GO="$(GO)" scripts/static.sh

bench-once: ## runs each benchmark once, so that none breaks unnoticed
	$(call with-cgo,$(GO) test -short -run '^$$' -bench . -benchtime 1x ./...)

fuzz: ## runs each fuzz target 2000 times, and the tests with all their trials
	@GO="$(GO)" scripts/fuzz.sh

fuzz-night: ## runs each fuzz target for ten minutes; new inputs stay in fuzz-corpus
	@GO="$(GO)" TIME=10m scripts/fuzz.sh

mutate: build ## feeds 20,000 damaged inputs to the program; some minutes
	$(GO) run ./scripts/mutate -count 20000 bin/echocast

acceptance: build ## speaks ten minutes in real time between two processes, and compares
	scripts/acceptance.sh

bench: build ## measures, beside other tools, and writes bench/README.md; half an hour (PARTS=first: that part alone)
	@GO="$(GO)" bench/run.sh $(PARTS)

bench-compare: ## compares the speed of each stage with the parent commit; two minutes
	$(call with-cgo,GO="$(GO)" scripts/bench-compare.sh)

streams: build ## measures 1 to 300 conversations at the same time; a minute
	bin/echocast bench --streams 1,10,50,100,150,200,300 --seconds 5

soak: build ## lets a gateway speak for an hour in real time, and fails where it grows (FOR=10m: less)
	$(GO) run ./bench/soak -for $(FOR)

# chaos-programs: builds a server of NATS, and a program that plays the next version.
define chaos-programs
$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
$(call with-cgo,$(BUILD)echocast-server-next -tags "urfave_cli_no_docs nextversion" $$pie ./cmd/echocast-server)
endef
chaos-run := $(GO) run ./bench/chaos -other bin/echocast-server-next

chaos: build ## kills nodes of two versions 200 times while they speak, and restarts all in turn; ten minutes
	$(chaos-programs)
	$(chaos-run) -strict -kills 160 -length 240s -rolls 2
	$(chaos-run) -strict -embedded -kills 40 -length 140s

chaos-short: build ## does the same with six conversations and six kills; a minute and a half
	$(chaos-programs)
	$(chaos-run) -conversations 6 -paid 2 -kills 4 -length 10s -rolls 2
	$(chaos-run) -embedded -conversations 6 -paid 2 -kills 2 -length 8s

manifests: ## checks the files of examples/cluster against their schemas
	@GO="$(GO)" scripts/manifests.sh

notices: ## writes THIRD-PARTY-NOTICES.txt and the licences in README.md
	$(GO) run ./scripts/notices

deb: pages ## builds a Debian package in dist
	@GO="$(GO)" scripts/deb.sh

packages: ## builds archives for all systems, checksums and SBOMs in dist, twice, and compares
	@GO="$(GO)" scripts/packages.sh

image: ## builds the container image echocast
	docker build --tag echocast .

clean: ## removes what make has built
	rm -rf bin dist demo mutate-failed
