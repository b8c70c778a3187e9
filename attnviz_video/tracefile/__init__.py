"""The trace on disk: format, writer, reader."""
