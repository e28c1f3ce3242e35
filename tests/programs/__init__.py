"""Programs that run for minutes, by hand or by make: fault matrix, soak, benchmark, fuzzer. pytest collects none."""
