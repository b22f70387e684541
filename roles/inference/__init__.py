"""Roles that run models on this machine, and the arithmetic around them."""
