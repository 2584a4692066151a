"""The OWASP API Security Top 10 (2023), walked through over every route that the application has."""
