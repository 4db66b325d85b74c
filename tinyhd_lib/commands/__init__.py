"""What the commands do with their parsed options, a file each."""
