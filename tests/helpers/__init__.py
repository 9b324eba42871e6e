"""Helpers of several test files. No test is here."""
