"""Roles that perceive the room."""
