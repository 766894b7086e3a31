"""What lies inside the files of a set, for more readers than one: arrays, pickles, Parquet, image files."""
