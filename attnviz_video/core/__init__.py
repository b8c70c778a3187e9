"""The nouns, in the order data flows: Sample, TokenLayout, Token, Step, TraceData, Scores. Numpy only; no formula lives here."""
