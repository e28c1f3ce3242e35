"""A quarter of the sample province, played in about ninety seconds through the public HTTP interface only."""
