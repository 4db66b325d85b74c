"""Distillation: students learn from teachers, from each other, and from where people looked."""
