"""The carriers' protocols: bytes, texts, reports, sessions."""
