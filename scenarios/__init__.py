"""Scenarios: one kind of question put to vendors each, without a memory of its own."""
