"""Clothings of the result document: HTML, scorecards, JUnit, CSV, the verdict for a terminal."""
