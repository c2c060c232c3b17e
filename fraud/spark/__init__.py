"""The Spark session, one way to open it; the only package of the library that imports pyspark."""
