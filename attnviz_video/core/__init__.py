"""The nouns, in the order data flows: Sample, Prepared, TokenLayout, Token, Step, TraceData, FrameWeights.

Numpy only; no formula lives here.
"""
