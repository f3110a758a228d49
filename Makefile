# What is needed: Go 1.26. `make check` wants a C compiler besides, for the race
# detector; the contracts are compiled with Node, but their output is committed.

# The date is the commit's, so that the same commit makes the same binary.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
DATE    := $(shell TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
GO      := CGO_ENABLED=0 go

.PHONY: build demo test test-logs check bench fuzz crash torture torture-short docs man mcpb interop browser generate \
	caddy operator deploy-check systems release-files release-check security gosec govulncheck vulnerabilities workflows clean

build:
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/concierge ./cmd/concierge

demo: build
	bin/concierge demo

# With the flags of build, so that the libraries are compiled once for both.
test:
	$(GO) test -trimpath ./...

# The tests once more, with all that they log collected, at every level and in both
# formats; it is searched for every secret that they used. LOGS keeps the folder.
LOGS ?=
test-logs:
	@dir=$${LOGS:-$$(mktemp -d)} && mkdir -p "$$dir" && CONCIERGE_TEST_LOGS=$$(cd "$$dir" && pwd) $(MAKE) --no-print-directory test && \
		$(GO) run -trimpath ./cmd/logcheck "$$dir" && if [ -z "$(LOGS)" ]; then rm -rf "$$dir"; fi

check:
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
		if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	CGO_ENABLED=1 go test -race -timeout 30m ./... # cmd/concierge builds programs, and takes 10 minutes where little is free

# The reference of commands and of the configuration, from the commands themselves. A
# test fails when it is stale.
docs:
	$(GO) test -trimpath ./cmd/concierge -run '^TestReference$$' -update

# Man pages of all commands, into bin/man.
man:
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		$(GO) test -trimpath ./cmd/concierge -run '^TestManPages$$' -count 1 -man $(CURDIR)/bin/man

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

# The tutorials, done as they say in clean directories by somebody who knows nothing
# else. Needs bash, curl and jq.
operator: build
	$(GO) run -trimpath ./cmd/operator docs/tutorial/first-booking.md docs/tutorial/operate.md

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

# The systemd units: that they are right, and how much of a machine they leave to the
# service (threshold in tenths). Needs systemd-analyze, and no systemd that runs.
deploy-check: build
	rm -rf bin/systemd && mkdir -p bin/systemd
	systemd-analyze security --offline=true --threshold=20 --no-pager deploy/systemd/concierge.service > bin/systemd/exposure || \
		{ cat bin/systemd/exposure; exit 1; }
	tail -1 bin/systemd/exposure
	cp deploy/systemd/concierge.socket bin/systemd
	sed 's|/usr/local/bin/concierge|$(CURDIR)/bin/concierge|' deploy/systemd/concierge.service > bin/systemd/concierge.service
	systemd-analyze verify --man=no bin/systemd/concierge.service bin/systemd/concierge.socket
# The example of deploy/caddy, run: a booking through Caddy. Needs Caddy, curl and Node.
caddy: build
	deploy/caddy/check

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

# The program and its tests for the systems that .ci/run is not on: built, and nothing run.
SYSTEMS ?= linux/arm64 darwin/arm64 windows/amd64
systems:
	@for s in $(SYSTEMS); do echo $$s; GOOS=$${s%/*} GOARCH=$${s#*/} $(GO) vet ./... || exit 1; \
		GOOS=$${s%/*} GOARCH=$${s#*/} $(GO) build -trimpath -o bin/systems/ ./cmd/concierge || exit 1; done

# The contracts and what is made of them. Needs Node and npm.
generate:
	go generate ./payments/devnet

# What a release has besides the programs: completions, man pages, systemd units, bundles
# for Claude Desktop, and what goes into the container image.
release-files: build man
	rm -rf bin/release && mkdir -p bin/release/completions bin/release/image/data bin/release/systemd
	for shell in bash zsh fish; do bin/concierge completion $$shell >bin/release/completions/concierge.$$shell || exit 1; done
	cp -r bin/man bin/release/man
	for unit in deploy/systemd/*; do sed 's|/usr/local/bin/|/usr/bin/|g' $$unit >bin/release/systemd/$$(basename $$unit) || exit 1; done
	cp /etc/ssl/certs/ca-certificates.crt bin/release/image/
	$(GO) run -trimpath ./cmd/mcpb -version $(VERSION) -out bin/release/mcpb $(MCPB)

# A release with everything, and nothing published: some ten minutes, and more where the
# tool has to be built. Images want Docker with buildx: without them, RELEASE=--skip=docker.
GORELEASER := $(GO) run github.com/goreleaser/goreleaser/v2@v2.14.0
release-check:
	$(GORELEASER) check
	$(GORELEASER) release --snapshot --clean $(RELEASE)

# Known holes in what is used, and mistakes that open new ones.
GOSEC := $(GO) run github.com/securego/gosec/v2/cmd/gosec@v2.30.0
security: gosec vulnerabilities
# What is a mistake here and not there says so in the code (#nosec GNNN -- why). Of whole
# folders: which files are read the operator says, and no stranger (G304, G703); of the
# command, constants are names of secrets and no secrets (G101), and the browser is opened
# at an address of ours (G204); what is not part of the product runs programs, writes
# files for others, reads those that it is told to, and takes numbers and errors lightly.
GOSEC_RULES := cmd/concierge/.*:G101,G204,G703;cmd/(torture|loadtest|mcpb|operator|logcheck|internal/process)/.*:G104,G115,G125,G204,G301,G302,G306,G404,G703
gosec:
	$(GOSEC) -quiet -exclude=G304 -exclude-dir=interop -exclude-generated -exclude-rules='$(GOSEC_RULES)' ./...
# VULNDB lists the holes: the place on the net, or a copy of it (file:///PATH). Where it
# can't be reached, `vulnerabilities` says so, and which modules of the program have newer
# versions; govulncheck fails.
VULNDB      ?= https://vuln.go.dev
GOVULNCHECK := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
govulncheck:
	$(GOVULNCHECK) -db $(VULNDB) ./...
vulnerabilities:
	@if curl -fsS --max-time 10 -o /dev/null $(VULNDB)/index/db.json; then $(MAKE) --no-print-directory govulncheck; else \
		echo "NOTE: $(VULNDB) can't be reached, so nothing here says whether known holes are in what the program uses."; \
		echo "These of its modules have newer versions (go list -m -u); their release notes tell which close a hole:"; \
		used=$$($(GO) list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}' ./cmd/concierge | sort -u) && \
		$(GO) list -m -u -f '{{if or .Update .Retracted .Deprecated}}{{.}}{{end}}' $$used; fi

# The workflows, by their own checker.
workflows:
	$(GO) run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 -color=false

clean:
	rm -rf bin dist
