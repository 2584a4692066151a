"""Seals: the Merkle tree over committed transfers, its signed checkpoints, and proofs from it."""
