"""Roles that visitors see."""
