"""A fuzzer for everything that reads an upload: `python -m tests.fuzz --reader npz --inputs 100000`."""
