"""Verification: the limit against sampled networks of finite width."""
