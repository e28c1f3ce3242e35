"""What is run by hand or by make, for minutes: fault matrix, soak, benchmark, fuzzer. pytest collects none of it."""
