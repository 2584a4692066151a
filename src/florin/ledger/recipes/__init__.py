"""Recipes: named, versioned templates of postings."""
