# make demo   speaks a file through a replica, on a fresh machine
# make test   runs the whole suite, on a fresh machine
# make check  does what CI does
# make acceptance   speaks ten minutes in real time, and compares
#
# GO, CC and PKG_CONFIG_PATH are taken from the environment.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: demo test build setup fmt vet staticcheck bench-once check acceptance clean

demo: build
	@mkdir -p demo
	@bin/echocast send --record demo/heard.wav testdata/speech.wav
	@echo "echocast: what the replica heard is in demo/heard.wav"

test: setup
	$(GO) test -race ./...

build: setup
	@mkdir -p bin
	$(GO) build -trimpath -o bin/echocast .

setup:
	@scripts/setup.sh

fmt:
	@bad=$$(gofmt -s -l .); if [ -n "$$bad" ]; then echo "gofmt -s would change:"; echo "$$bad"; exit 1; fi

vet: setup
	$(GO) vet ./...

staticcheck: setup
	$(GO) run $(STATICCHECK) ./...

# Every benchmark runs once, so that none rots.
bench-once: setup
	$(GO) test -run '^$$' -bench . -benchtime 1x ./...

check: fmt vet staticcheck test bench-once

# Ten minutes of audio in real time, between two processes.
acceptance: build
	scripts/acceptance.sh

clean:
	rm -rf bin demo
