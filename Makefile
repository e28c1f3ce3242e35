# Everything a person types. Each target works as root and as an ordinary user; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON_BIN := .venv/bin/python
# One worker more than there are cores: tests wait for services a sixth of their time. A file's tests stay together, so
# a module's stack is started once.
PYTEST_ARGS ?= -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --dist loadfile --no-loadscope-reorder --durations=30
CHECKED := shared services deploy tests scripts
# The commands below start hundreds of Python processes; where none may keep byte code, each compiles the whole project.
unexport PYTHONDONTWRITEBYTECODE
BROKERS ?= 1

.PHONY: help setup lock up down status logs stop start restart clean demo lint test bench faults fuzz browser mutants soak

help:  ## danh sách này
##> this list
	@python3 scripts/make_help.py

setup:  ## môi trường Python trong .venv; không đổi gì thì xong ngay
##> the Python environment in .venv; instant when nothing changed
	@scripts/setup.sh

lock: setup  ## ghi lại requirements*.txt (LOCK_ARGS=--upgrade lấy bản mới nhất)
##> write requirements*.txt again (LOCK_ARGS=--upgrade takes the newest)
	@scripts/lock.sh $(LOCK_ARGS)

up: setup  ## chạy PostgreSQL, Kafka, hộp thư và năm dịch vụ (BROKERS=3: cụm Kafka)
##> start PostgreSQL, Kafka, the mail sink and the five services (BROKERS=3: a cluster)
	@$(PYTHON_BIN) -m deploy.local up --brokers $(BROKERS)

down:  ## dừng tất cả
##> stop them all
	@if [ -x $(PYTHON_BIN) ]; then $(PYTHON_BIN) -m deploy.local down; fi

status: setup  ## cái gì chạy ở đâu
##> what runs where
	@$(PYTHON_BIN) -m deploy.local status

logs: setup  ## cuối mỗi nhật ký (LOGS="-f intake" theo dõi một dịch vụ)
##> the end of every log (LOGS="-f intake" follows one)
	@$(PYTHON_BIN) -m deploy.local logs $(LOGS)

stop start restart: setup
	@$(PYTHON_BIN) -m deploy.local $@ $(or $(C),$(error thành phần nào / which component? make $@ C=kafka, postgres, mail, intake, …))

stop:  ## dừng một thành phần, phần khác vẫn chạy: make stop C=kafka
##> stop one component, the others go on: make stop C=kafka
start:  ## chạy lại thành phần đó, chờ đến khi sẵn sàng
##> start it again and wait until it is ready
restart:  ## dừng rồi chạy lại
##> stop and start it

clean:  ## dừng và xóa toàn bộ dữ liệu trên máy này
##> stop, and remove all local data
	@if [ -x $(PYTHON_BIN) ]; then $(PYTHON_BIN) -m deploy.local clean; fi

demo: setup  ## chạy thử một quý của một tỉnh mẫu
##> play a quarter of a sample province
	@$(PYTHON_BIN) -m deploy.demo

lint: setup  ## kiểm tra cách viết, kiểu dữ liệu, ranh giới
##> style, types and boundaries
	$(PYTHON_BIN) -m ruff check .
	$(PYTHON_BIN) -m ruff format --check .
	$(PYTHON_BIN) -m mypy --strict $(CHECKED)
	@if grep -qs '^\[tool.importlinter\]' pyproject.toml || [ -f .importlinter ]; then .venv/bin/lint-imports; fi

test: lint  ## mọi điều phải đúng: lint, rồi mọi phép thử trên PostgreSQL và Kafka thật
##> everything that must hold: lint, then all tests on real PostgreSQL and Kafka
	$(PYTHON_BIN) -m pytest $(PYTEST_ARGS)

bench: setup  ## đo tốc độ, so với sàn và với bản thông thường
##> measure against a floor and a conventional build
	@$(if $(ONLY),:,$(PYTHON_BIN) -m pytest -m bench tests/integration/bench)
	@$(PYTHON_BIN) -m tests.programs.bench

faults: setup  ## ma trận lỗi (ROWS=1,5 chọn hàng)
##> the fault matrix (ROWS=1,5 chooses rows)
	@$(if $(ROWS),:,$(PYTHON_BIN) -m pytest -m whole tests/e2e tests/integration)
	@$(PYTHON_BIN) -m tests.programs.faults

fuzz: setup  ## thử các dịch vụ bằng yêu cầu sinh từ OpenAPI (CASES=120, SEED=7)
##> try the services with requests made from OpenAPI (CASES=120, SEED=7)
	@$(PYTHON_BIN) -m tests.programs.fuzz

browser: setup  ## xem các trang trong chromium thật: axe, bàn phím, ba khổ màn hình, in (CHROMIUM=đường-dẫn)
##> look at the pages in a real chromium: axe, keyboard, three widths, print (CHROMIUM=path)
	@UV_SYSTEM_CERTS="$${UV_SYSTEM_CERTS:-1}" VIRTUAL_ENV="$(CURDIR)/.venv" \
	  .venv/bin/uv pip install --quiet --require-hashes -r requirements-browser.txt
	@$(PYTHON_BIN) -m tests.programs.browser

mutants: setup  ## đổi từng chỗ nhỏ trong phần thuần, phép thử đơn vị phải thấy (ONLY, SAMPLE, SEED)
##> change the pure rooms bit by bit, the unit tests must notice (ONLY, SAMPLE, SEED)
	@$(PYTHON_BIN) -m tests.programs.pack_mutants deploy/sample/regimes
	@$(PYTHON_BIN) -m tests.programs.mutants

soak: setup  ## chạy dài dưới tải và lỗi (N=1000000)
##> a long run under load and faults (N=1000000)
	@$(PYTHON_BIN) -m tests.programs.faults.soak
