"""The kinds of role that come with Roomful.

Nothing is imported here: a machine loads only the kinds that it plays, by name, so that an engine which is
not installed is never missed.
"""
