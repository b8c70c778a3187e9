# The two command lines of README_attention_visualization.md, nothing more (a test compares them).
.PHONY: run test

run:
	python3 -m venv .venv && .venv/bin/python -m pip install -c constraints.txt -e . && .venv/bin/python visualize_heatmap.py --config configs/demo.yaml

test:
	python3 -m venv .venv && .venv/bin/python -m pip install -c constraints.txt -e '.[test]' && .venv/bin/python -m pytest
