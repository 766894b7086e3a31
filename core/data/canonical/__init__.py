"""The stored form of a data set, and what turns images into it: squares of one size and kind, two splits."""
