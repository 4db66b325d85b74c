"""The five notebooks: found, copied, and run headless."""
