"""A package, so that one browser serves the files that follow each other in a worker, and ends with them."""
