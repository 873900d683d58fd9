"""A letter to many people, each with their own words: rows of a CSV file through templates."""
