"""The topics every deployment needs, and the pinned jars of the local broker."""
