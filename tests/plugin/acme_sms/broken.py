"""A module that cannot be imported, as plug-ins of another time and place sometimes cannot."""

raise RuntimeError("needs the moon in the seventh house")
