"""Distillation: students learn from teachers, from each other, and from recorded fixations."""
