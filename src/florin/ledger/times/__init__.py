"""The two times of the books: when something was recorded, and when it counts."""
