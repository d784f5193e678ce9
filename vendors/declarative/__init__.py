"""A vendor described in YAML, without code: `module(text, name)` makes of a description what a vendor's file would be.

Read description.py for what may stand in one, expressions.py for the language of a field, conversation.py for how it
is played. vendors/README.md says how to write one.
"""

from vendors.declarative.conversation import module

__all__ = ["module"]
