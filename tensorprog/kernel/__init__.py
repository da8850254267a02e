"""Kernel programs: the limit as scalar let-code, one program per sample and one per pair of samples."""
