"""The books proved against their own log: rules, verification, rebuilding, and the proof that never ends."""
