"""A plug-in package as somebody outside would write it, on nothing but the promised surface."""
