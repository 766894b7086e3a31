"""`python -m core.admin`: what needs the machine rather than a key, such as making the first key."""
