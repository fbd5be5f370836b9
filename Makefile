# Two targets do everything on a new machine: `make demo` shows the broker at work, `make test` proves it.

PYTHON ?= python3
target := $(or $(CARGO_TARGET_DIR),target)
venv   := .venv
python := $(venv)/bin/python
figures := bench-results/bench.jsonl
broker    = $(abspath $(target))/debug/ave-broker
simulated = $(abspath $(target))/debug/ave-simulated
older     = $(abspath $(target))/release/ave-broker-older

released  = env AVE_BROKER=$(abspath $(target))/release/ave-broker AVE_SIMULATED=$(abspath $(target))/release/ave-simulated

.NOTPARALLEL:
.PHONY: demo demo-network demo-restart test soak-restart crash bench fuzz sim planted wheel deb deb-test setup system lint rust-test python-test clean

demo: setup
	cargo build --locked -p ave-broker -p ave-simulated
	$(develop)
	config-examples/demo $(broker) $(simulated) $(python)

demo-network: setup
	cargo build --locked -p ave-broker
	$(develop)
	config-examples/demo-network $(broker) $(python)

demo-restart: setup
	cargo build --locked -p ave-broker -p ave-simulated
	$(develop)
	config-examples/demo-restart $(broker) $(simulated) $(python)

test: setup lint rust-test python-test

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

rust-test:
	cargo build --locked -p ave-broker
	@if command -v cargo-nextest >/dev/null; \
	then echo cargo nextest run; cargo nextest run --locked --no-fail-fast && cargo test --locked --doc; \
	else echo cargo test; cargo test --locked --no-fail-fast; fi

python-test: setup
	cargo build --locked -p ave-broker -p ave-simulated
	$(develop)
	AVE_BROKER=$(broker) $(python) -m pytest -W error pytests

# Release builds; one JSON line per figure, then a table of all.
bench: setup
	cargo build --locked --release -p ave-broker -p ave-simulated
	$(develop) --release
	@mkdir -p $(dir $(figures)); rm -f $(figures); failed=; \
	for bench in "cargo bench --locked -p ave-core --bench decide" \
	             "cargo bench --locked -p ave-core --bench shares" \
	             "cargo bench --locked -p ave-broker --bench serve" \
	             "$(released) $(python) pytests/bench.py" \
	             "$(released) $(python) pytests/bench_start.py" \
	             "$(released) $(python) pytests/bench_drivers.py" \
	             "$(released) $(python) pytests/bench_handsets.py" \
	             "$(released) $(python) pytests/bench_network.py"; do \
	  echo "$$bench"; $$bench >> $(figures) || failed="$$failed $${bench##* }"; \
	done; \
	$(python) pytests/figures.py $(figures); \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# A minute for each target; SECONDS=600 for longer.
fuzz:
	AVE_FUZZ_SECONDS=$(or $(SECONDS),60) cargo test --locked -p ave-protocol -p ave-core -p ave-broker --test fuzz
	AVE_ORACLE_CASES=$$((300 * $(or $(SECONDS),60))) cargo test --locked -p ave-core --test oracle

# Simulates SEEDS random networks of brokers, 100,000 if it is not set.
sim:
	AVE_NETWORK_SEEDS=$(or $(SEEDS),100000) cargo test --locked --release -p ave-core --test network -- --nocapture

# Kills a broker under load KILLS times, 1000 if it is not set, at instants that SEED determines.
crash:
	AVE_KILLS=$(or $(KILLS),1000) $(if $(SEED),AVE_SEED=$(SEED)) cargo test --locked --release -p ave-broker --test binary -- --nocapture crash::kills

# CLIENTS at work, 500 if it is not set, a tenth of them in Python, while the broker is restarted RESTARTS times, 200 if
# it is not set, in turns by a build whose snapshots are older and by this one. In 99 of 100 nobody lends for PAUSE_MS at
# most: 50, if it is not set.
soak-restart: setup
	$(develop) --release
	cargo build --locked --release -p ave-broker --features previous-snapshot
	cp $(target)/release/ave-broker $(older)
	AVE_SOAK_CLIENTS=$(or $(CLIENTS),500) AVE_SOAK_RESTARTS=$(or $(RESTARTS),200) AVE_SOAK_PYTHON=$(abspath $(python)) \
	AVE_SOAK_OLDER=$(older) AVE_SOAK_PAUSE_MS=$(or $(PAUSE_MS),50) \
	cargo test --locked --release -p ave-broker --test binary -- --exact --nocapture \
	soak::clients_at_work_see_nothing_of_restarts_but_restarting

# Plants sixteen bugs, one at a time, in a copy of the sources: the core's tests must notice each.
planted:
	broker/core/tests/planted/run

wheel: setup
	$(venv)/bin/maturin build --release --locked --manifest-path client-py/Cargo.toml --out dist

# A Debian package of the broker: dist/ave-broker_*.deb.
deb:
	@$(call wanted,dpkg-buildpackage:dpkg-dev dh:debhelper help2man:help2man)
	cargo build --locked --release -p ave-broker
	packaging/build-deb $(target)/release

# Installs, upgrades and removes it in a clean Debian, which systemd boots in a container. Needs root.
deb-test: deb
	@$(call wanted,mmdebstrap:mmdebstrap systemd-nspawn:systemd-container)
	packaging/try-deb dist/ave-broker_*.deb

# Installs, if root may, the packages of programs that are missing: a list of PROGRAM:PACKAGE.
wanted = missing=; for each in $(1); do \
	  command -v $${each%:*} >/dev/null || missing="$$missing $${each\#*:}"; done; \
	test -z "$$missing" || { \
	  test "$$(id -u)" = 0 || { echo "please install:$$missing"; exit 1; }; \
	  apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; }

develop = VIRTUAL_ENV=$(abspath $(venv)) $(venv)/bin/maturin develop --locked --quiet --manifest-path client-py/Cargo.toml

setup: system $(venv)/ready

$(venv)/ready: pytests/requirements.txt
	$(PYTHON) -m venv $(venv)
	$(python) -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# What the build, the tests and the example lab take from the system. Installed only by root, and only
# where something is missing.
system:
	@missing=; \
	test -x /usr/bin/git || missing="$$missing git"; \
	command -v adb >/dev/null || missing="$$missing adb"; \
	command -v ip >/dev/null || missing="$$missing iproute2"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	test -z "$$missing" || { \
	  test "$$(id -u)" = 0 || { echo "please install:$$missing"; exit 1; }; \
	  apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; }
	@command -v cargo >/dev/null || { echo "please install Rust 1.91 or later (rustup)"; exit 1; }

clean:
	rm -rf $(venv) dist
	cargo clean
