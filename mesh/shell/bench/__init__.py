"""What `roomful bench` measures, and how: real rooms of real processes on this machine, and the bare libraries beside them, in turn."""
