"""One file a format. Readers know nothing of each other; detect.py chooses between them."""
