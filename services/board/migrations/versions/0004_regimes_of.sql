-- The heat map lists the regimes of the agencies that its reader sees, and of no others.

CREATE INDEX obligations_regimes_of ON obligations (agency, regime);
