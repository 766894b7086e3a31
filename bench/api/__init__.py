"""`make bench-api`: the API as delivered, under load, beside what it is compared with."""
