"""`make fuzz`: sends requests made from the OpenAPI documents; no answer may be a 5xx or differ from its document."""
