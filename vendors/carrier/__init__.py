"""The carriers' own protocols, shared by adapters and counterparts: what the bytes are and how a link behaves."""
