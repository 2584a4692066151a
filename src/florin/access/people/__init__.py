"""Users, the roles they have, and where they have them."""
