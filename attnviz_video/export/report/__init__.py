"""The interactive page of a trace: what it holds, packed as JSON and blocks of rows, around the viewer's programs."""
