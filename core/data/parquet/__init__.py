"""Parquet files of images, in memory that has a bound: what pyarrow would believe is checked beforehand."""
