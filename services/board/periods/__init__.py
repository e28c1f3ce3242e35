"""How a period closed: its figures, frozen with a hash where somebody asks for it, and the report that reminds."""
