"""`make fuzz`: requests made from the OpenAPI documents; no service may answer 5xx or unlike its document."""
