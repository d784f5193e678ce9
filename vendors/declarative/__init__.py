"""A vendor described in YAML, without code: `module(text, name)` makes of a description what a vendor's file would be.

Read it in this order: expressions.py (the language of a field), shapes.py (the parts of a description), description.py
(reading and checking one), writing.py, hearing.py, conversation.py (playing it). vendors/README.md says how to write
one.
"""

from vendors.declarative.conversation import module

__all__ = ["module"]
