# onebeat: every target people and CI use. `make help` lists them.

GO ?= go
BIN := bin/onebeat

# The kernel programs' compiler: any clang from 14 on; the committed objects
# are of clang 16, and another one's may differ from them.
CLANG := $(shell command -v clang-16 || command -v clang)
CLANG_FORMAT := $(shell command -v clang-format-16 || command -v clang-format)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
C_FILES = $(wildcard bpf/*.c bpf/*.h bench/peers/*.c bench/fixpeers/*.cpp)

# Namespaces, AF_XDP and BPF need root. As another user tests and commands go
# through sudo; compilers and caches stay the user's.
ifneq ($(shell id -u),0)
SUDO := $(shell command -v sudo)
NEED_ROOT = @if [ -z "$(SUDO)" ]; then echo "make $@ needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_BPF) and there is no sudo: run it as root" >&2; exit 1; fi
TEST_EXEC = -exec "$(SUDO) -E"
endif

# Tells the failed tests once more at the end of everything.
TESTED := .ci/tested

# TESTFLAGS: more flags for go test, like -v or -run. ARGS: more arguments for
# demo and bench.
TESTFLAGS ?=
DRILL_RUNS ?= 5
DRILL_DIR ?= bin/drill
BENCH_DIR ?= bin/bench
ARGS ?=

.PHONY: help setup build generate lint fmt test test-all test-race test-unit sim profile demo drill soak bench bench-quick breakdown clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch the modules and say what is missing on this machine
	$(GO) mod download
	@[ -n "$(CLANG)" ] || echo "no clang: building needs none, 'make generate' does (apt-get install clang-16 llvm-16 libbpf-dev)"
	@[ -n "$(CLANG_FORMAT)" ] || echo "no clang-format: 'make lint' leaves the C files out (apt-get install clang-format-16)"
	@command -v gcc >/dev/null || echo "no gcc: 'make test-race' and the C yardstick need one (apt-get install gcc libc6-dev)"
	@[ -e /usr/include/quickfix/Session.h ] && command -v g++ >/dev/null || \
		echo "no g++ or no QuickFIX: tests and drills with a FIX client of another make fail (apt-get install g++ libquickfix-dev)"
	@for p in fence_ipmilan:fence-agents ipmi_sim:openipmi ipmitool:ipmitool; do command -v $${p%%:*} >/dev/null || \
		echo "no $${p%%:*}: tests of fencing fail (apt-get install --no-install-recommends $${p##*:})"; done
	@for p in tshark:tshark python3:python3; do command -v $${p%%:*} >/dev/null || \
		echo "no $${p%%:*}: tests of the dissector and of the published schema fail (apt-get install --no-install-recommends $${p##*:})"; done
	@for p in redis-server:redis-server pg_ctlcluster:postgresql etcd:etcd-server; do command -v $${p%%:*} >/dev/null || \
		echo "no $${p%%:*}: tests that compare with it or write to it fail (apt-get install $${p##*:})"; done
	@command -v versitygw >/dev/null || echo "no versitygw: tests that ship to an S3 server fail (GOBIN=/usr/local/bin go install github.com/versity/versitygw/cmd/versitygw@v1.8.0)"
	@command -v keepalived >/dev/null || echo "no keepalived: 'make drill' measures it beside onebeat if it is there (apt-get install keepalived)"
	@[ "$$(id -u)" = 0 ] || command -v sudo >/dev/null || echo "no sudo: 'make test', 'make demo' and 'make bench' must be run as root"

# This module's packages are compiled with a profile of the order path (make profile);
# -pgo would compile all others a second time, too. A compiler's cache goes by the name
# of the profile's file, so the name goes by what is in it.
ORDERS_PGO := tools/onebeat/orders.pgo
PROFILE := bin/orders-$(word 1,$(shell cksum < $(ORDERS_PGO))).pgo
GO_BUILD = $(GO) build '-gcflags=onebeat/...="-pgoprofile=$(CURDIR)/$(PROFILE)"'

$(PROFILE): $(ORDERS_PGO)
	@mkdir -p bin && rm -f bin/orders-*.pgo && cp $< $@

build: $(PROFILE) ## build bin/onebeat; needs no clang
	$(GO_BUILD) -o $(BIN) ./tools/onebeat

PROFILED := order/book/ride mirrored/book/ride mirrored/book/chain mirrored/book/user order/gateway/ride mirrored/gateway/ride
profile: build ## renew the profile that the order path is compiled with
	$(NEED_ROOT)
	rm -f bin/cpu-*.prof
	@set -e; for s in $(PROFILED); do IFS=/; set -- $$s; unset IFS; \
	$(SUDO) $(BIN) bench --shape $$1 --app $$2 --release $$3 --count 400000 --cpuprofile bin/cpu-$$1-$$2-$$3.prof; done
	$(GO) tool pprof -proto bin/cpu-*.prof >bin/cpu.pgo
	$(GO) tool preprofile -i bin/cpu.pgo -o $(ORDERS_PGO)

generate: ## compile the kernel programs and regenerate code (clang, libbpf headers)
	@[ -n "$(CLANG)" ] || { echo "make generate needs clang: apt-get install clang-16 llvm-16 libbpf-dev" >&2; exit 1; }
	BPF2GO_CC=$(CLANG) $(GO) generate ./...

lint: ## gofmt, go vet, staticcheck, clang-format: look, change nothing
	@unformatted=$$(gofmt -l bench bpf engine mirror pin tools xdp); \
	[ -z "$$unformatted" ] || { echo "not gofmt'ed (run make fmt): $$unformatted" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@if [ -n "$(CLANG_FORMAT)" ]; then $(CLANG_FORMAT) --dry-run --Werror $(C_FILES); \
	else echo "no clang-format: C files are not checked"; [ -z "$$CI" ]; fi

fmt: ## format Go and C
	gofmt -w bench bpf engine mirror pin tools xdp
	@if [ -n "$(CLANG_FORMAT)" ]; then $(CLANG_FORMAT) -i $(C_FILES); else echo "no clang-format: C files are left as they are"; fi

test: test-all test-race ## all tests; as root, or through sudo

# Two packages at a time, on two cores too: tests that hold deadlines or measure
# have bounds that bear it.
GO_TEST = $(GO) test -count=1 -timeout=15m -p=2 $(TEST_EXEC) $(TESTFLAGS)

test-all:
	$(NEED_ROOT)
	@echo "== all tests"
	@$(TESTED) $(GO_TEST) ./...

# The race detector sees what runs in Go. Left out by -short are the tests that
# need root: there the other side of the shared memory is the kernel, which it
# cannot see, and they hold deadlines that its tenfold slower loops would miss.
test-race:
	@echo "== race detector (tests without root)"
	@if command -v gcc >/dev/null; then \
	CGO_ENABLED=1 $(TESTED) $(GO) test -race -short -count=1 -timeout=10m $(TESTFLAGS) ./...; \
	else echo "no gcc: left out (apt-get install gcc libc6-dev)"; [ -z "$$CI" ]; fi

test-unit: ## the tests that need no root
	@$(TESTED) $(GO) test -short -count=1 $(TESTFLAGS) ./...

# SIM_SECONDS: how long. SIM_SEED: that one run again, told.
SIM_SECONDS ?= 60
SIM_SEED ?=
sim: ## simulate failovers for SIM_SECONDS (60) and look for a lost or doubled order
	@SIM_SECONDS=$(SIM_SECONDS) SIM_SEED=$(SIM_SEED) $(TESTED) $(GO) test -count=1 -timeout=60m -v $(TESTFLAGS) -run '^TestSimulation$$' ./mirror/sim

demo: build ## kill a primary under load and see nothing lost (20,000 orders/s, 10 s)
	$(NEED_ROOT)
	@$(SUDO) $(BIN) demo $(ARGS)

drill: build ## play every fault DRILL_RUNS (5) times; report in DRILL_DIR (bin/drill)
	$(NEED_ROOT)
	@$(SUDO) $(BIN) drill --all --runs $(DRILL_RUNS) --report $(DRILL_DIR) $(ARGS)

# SOAK_RECORDS, SOAK_RATE: how much, and orders a second. ARGS="--seed N" plays one again.
SOAK_RECORDS ?= 10000000
SOAK_RATE ?= 8000
soak: build ## kill nodes, fill disks and cut files over SOAK_RECORDS (10,000,000) records
	$(NEED_ROOT)
	@$(SUDO) $(BIN) drill --fault soak --records $(SOAK_RECORDS) --rate $(SOAK_RATE) --heartbeat 100ms --hang-budget 300ms --wait 400ms --ring-size 64MiB $(ARGS)

bench: build ## measure everything beside its peers; report in BENCH_DIR (bin/bench)
	$(NEED_ROOT)
	@$(SUDO) $(BIN) bench suite --report $(BENCH_DIR) $(ARGS)

bench-quick: build ## the latency shapes and a ramp, within a minute
	$(NEED_ROOT)
	@$(SUDO) $(BIN) bench suite --quick $(ARGS)

breakdown: $(PROFILE) ## where the time of one order goes, with marks in a program of its own
	$(NEED_ROOT)
	$(GO_BUILD) -tags marks -o $(BIN)-marks ./tools/onebeat
	@$(SUDO) $(BIN)-marks bench breakdown $(ARGS)

clean: ## remove what was built
	rm -rf bin
	$(GO) clean -testcache
