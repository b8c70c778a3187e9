# `run` and `test` are the two command lines of README_attention_visualization.md (a test compares them).
.PHONY: run test bench-recording bench-rendering bench-batch

run:
	python3 -m venv .venv && .venv/bin/python -m pip install -c constraints.txt -e . && .venv/bin/python visualize_heatmap.py --config configs/demo.yaml

test:
	python3 -m venv .venv && .venv/bin/python -m pip install -c constraints.txt -e '.[test]' && .venv/bin/python -m pytest

# About half an hour on an idle machine; needs the environment of `make test`.
bench-recording:
	OMP_NUM_THREADS=1 .venv/bin/python benchmarks/recording.py

# About an hour on an idle machine with two cores.
bench-rendering:
	OMP_NUM_THREADS=1 .venv/bin/python benchmarks/rendering.py

# About half an hour on an idle machine with two cores.
bench-batch:
	OMP_NUM_THREADS=1 .venv/bin/python benchmarks/batch.py
