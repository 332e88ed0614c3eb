# The commands of a newcomer. Each one first installs what is missing (docker/install-deps.sh).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps lint-deps build demo test test-s3 test-slow faults bench bench-transfer hardware area lint tidy format asan tsan fuzz cuda check-bare check-image check-compose check-systemd

JOBS := $(shell nproc)
MODEL ?=
SCRATCH ?=
FUZZ_SECONDS ?= 60

help:
	@echo 'make demo        compress a real model through the server and verify it (MODEL=path: your own)'
	@echo 'make test        build everything and run the tests, but for the long ones below'
	@echo 'make test-s3     the S3 tests against a Ceph RADOS gateway, which is installed and started'
	@echo 'make test-slow   the index search against the scan of all seeds, a million blocks and more'
	@echo 'make faults      kill -9, full disks, damaged files, outages, lost packets: half an hour (as root)'
	@echo 'make bench       measure the search and whole files, write kernels/bench/results/DATE-*.json'
	@echo 'make bench-transfer  uploads and downloads on loopback beside a bare gRPC stream'
	@echo 'make hardware    C simulation, RTL in lockstep, proof, areas, table of cycles'
	@echo 'make area        the areas of lane, decoder and unit against their ceilings (in make hardware: all)'
	@echo 'make lint        clang-format, import law, file sizes, shellcheck, the search compiles for NEON'
	@echo 'make tidy        clang-tidy over kernels, server and client'
	@echo 'make format      rewrite the sources the way clang-format wants them'
	@echo 'make asan, tsan  build with sanitizers, run the tests of the lane'
	@echo 'make fuzz        build the fuzz programs with clang, run each for FUZZ_SECONDS'
	@echo 'make cuda        the plug-in for NVIDIA GPUs and cuda_check; registers and spills (needs nvcc, no GPU)'
	@echo 'make check-bare  run demo and test in a fresh Debian 12 root (SCRATCH=dir; as root)'
	@echo 'make check-image go through the steps of the image in fresh roots, and start it (SCRATCH=dir; as root)'
	@echo 'make check-compose  build the image with podman and run compose.yaml, kills and all (as root)'
	@echo 'make check-systemd  the unit under a systemd that is booted for it, kills and all (SCRATCH=dir; as root)'

deps:
	@docker/install-deps.sh --build-only

lint-deps:
	@docker/install-deps.sh

build: deps
	@hardware/fetch-hls-headers.sh || echo 'make: no HLS headers: the tests of hardware/hls are left out' >&2
	cmake --preset cpu
	cmake --build --preset cpu -j $(JOBS)

demo: deps
	cmake --preset cpu
	cmake --build --preset cpu -j $(JOBS) --target seedlm seedlm-server
	MODEL="$(MODEL)" client/demo.sh

test: build
	ctest --preset cpu -j $(JOBS)

test-s3:
	@docker/install-deps.sh --s3
	cmake --preset cpu
	cmake --build --preset cpu -j $(JOBS) --target seedlm seedlm-server
	tests/s3/ceph.sh ctest --preset cpu -R '^e2e_s3_test$$'

faults: lint-deps build
	SEEDLM=build/cpu/client/seedlm SEEDLM_SERVER_PROGRAM=build/cpu/server/seedlm-server \
	  PYTHONDONTWRITEBYTECODE=1 tests/faults/faults.py

test-slow: build
	SEEDLM_TEST_MODEL="$${MODEL:-$$(client/fetch_model.sh || true)}" \
	  ctest --preset cpu -C slow -L slow

bench: deps
	cmake --preset cpu
	cmake --build --preset cpu -j $(JOBS) --target seedlm bench_search bench_index
	kernels/bench/run_all.sh build/cpu

hardware:
	docker/install-deps.sh --hardware
	hardware/fetch-hls-headers.sh
	hardware/check.sh

area:
	docker/install-deps.sh --hardware
	hardware/rtl/area.py unit decoder lane  # side by side: the longest first

bench-transfer: deps
	cmake --preset cpu
	cmake --build --preset cpu -j $(JOBS) --target bench_transfer
	build/cpu/tests/bench/bench_transfer

lint: lint-deps
	tests/lint/run.sh

tidy: lint-deps
	cmake --preset dev
	tests/lint/tidy.sh build/dev

format: lint-deps
	git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' '*.cpp' '*.cu' | xargs -0 clang-format -i

asan: lint-deps
tsan: deps
asan tsan:
	tests/run_lane.sh $@

fuzz: lint-deps
	tests/run_fuzz.sh $(FUZZ_SECONDS)

cuda: deps
	cmake --preset cuda
	cmake --build --preset cuda -j $(JOBS) --target seedlm_cuda cuda_check cuda_resources

check-bare:
	docker/check-bare-root.sh $(SCRATCH)

check-image:
	docker/check-image.py cpu $(or $(SCRATCH),$(shell mktemp -d /var/tmp/seedlm-image.XXXXXX))

check-compose: deps
	cmake --preset cpu
	cmake --build --preset cpu -j $(JOBS) --target seedlm
	docker/check-compose.sh build/cpu/client/seedlm

check-systemd: deps
	cmake --preset cpu
	cmake --build --preset cpu -j $(JOBS) --target seedlm seedlm-server
	docker/check-systemd.sh build/cpu "$(SCRATCH)"
