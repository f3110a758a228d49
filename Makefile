# What is needed: Go 1.26. `make check` wants a C compiler besides, for the race
# detector; the contracts are compiled with Node, but their output is committed.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      := CGO_ENABLED=0 go

.PHONY: build demo test check bench fuzz crash torture torture-short mcpb interop browser generate clean

build:
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/concierge ./cmd/concierge

demo: build
	bin/concierge demo

# With the flags of build, so that the libraries are compiled once for both.
test:
	$(GO) test -trimpath ./...

check:
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
		if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	CGO_ENABLED=1 go test -race ./...

# Bundles for Claude Desktop, their hashes, and their entries of an MCP registry: what
# a release has. The binary is built for macOS, Windows and Linux.
mcpb:
	$(GO) run -trimpath ./cmd/mcpb -version $(VERSION) -out bin

# What things cost: the benchmarks, each for BENCHTIME (a time or, with an x behind
# it, a number), and the server under load, beside bare ones; LOADTEST are the flags
# of cmd/loadtest. docs/explanation/performance.md explains the figures.
BENCHTIME ?= 1s
bench: build
	$(GO) test $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u) \
		-run '^$$' -bench . -benchmem -benchtime $(BENCHTIME)
	$(GO) run -trimpath ./cmd/loadtest $(LOADTEST)

# Every fuzz target of every package for FUZZTIME, two at a time. docs/how-to/development.md
# says which decoder has which. Before Go 1.27 the end of the time may pass for a
# failure that has no failing input (golang/go#75804).
FUZZTIME ?= 20s
fuzz:
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' . | sed -E 's|/[^/]*:func | |' | sort | \
		xargs -P 2 -n 2 sh -c 'out=$$($(GO) test "$$0" -run "^$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) \
			-fuzzminimizetime 100x -parallel 1 2>&1) || case "$$out" in \
				*"Failing input"*) echo "$$out"; exit 1;; \
				*"context deadline exceeded"*) ;; \
				*) echo "$$out"; exit 1;; \
			esac; echo "$$0 $$1 $$(echo "$$out" | grep elapsed | tail -1)"'

# Other implementations of x402 and MCP against bin/concierge, and the conformance
# suite. Needs npm, and Node 22: on Linux for amd64 it comes with the packages. The
# bundles are made for this system alone.
interop: build
	$(GO) run -trimpath ./cmd/mcpb -version $(VERSION) -out bin/interop -systems $$($(GO) env GOOS)
	$(GO) build -trimpath -o bin/crossmint ./interop/crossmint
	cd interop && npm ci && npm start --silent

# The pages in a real Chromium (CHROMIUM=PATH says which), with screenshots in
# interop/browser/shots. Needs npm besides.
browser: build
	cd interop/browser && npm ci --silent && npm start --silent

# Servers killed and lied to, and their books held against the chain: see
# docs/how-to/development.md. The short form is part of CI.
torture:
	$(GO) run -trimpath ./cmd/torture -payments 2000 -kills 60 $(TORTURE)
torture-short:
	$(GO) run -trimpath ./cmd/torture -payments 120 -kills 18 -window 20s -limit 10m $(TORTURE)

# What the store must survive, at length: 200 times kill -9 under load, and 5,000
# tenants with ulimit -n 1024. `make test` has short forms of both.
crash:
	STORE_KILLS=200 STORE_TENANTS=5000 $(GO) test ./store -run 'Kill|FewDescriptors|PowerCut' -v -count 1 -timeout 30m

# The contracts and what is made of them. Needs Node and npm.
generate:
	go generate ./payments/devnet

clean:
	rm -rf bin
