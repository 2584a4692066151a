"""The sandbox: a provider that moves no money and answers as the test token says.

It comes in two forms with the same outcomes: in this process (`in_process.py`), and as an HTTP server
of its own (`server.py`, spoken to by `client.py`). What it proves is shape and recovery, not how any
live provider behaves.
"""
