"""Sessions of users: begun by signing in, renewed by refresh tokens, ended."""
