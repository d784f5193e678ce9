"""The sandbox: a simulated world of people, phones and vendors whose truth is known."""
