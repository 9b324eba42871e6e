"""What a run will do before it is started: items, tokens, FLOPs, time, memory, disk, downloads, and what DVC will skip."""
