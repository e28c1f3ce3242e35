-- Figures of a period are frozen with a hash: what an office reported from stays, whatever comes later.

CREATE TABLE period_figures (
    figures_id uuid PRIMARY KEY,
    period text NOT NULL,
    agency text NOT NULL,
    agencies text[] NOT NULL,
    as_of timestamptz NOT NULL,
    frozen_at timestamptz NOT NULL,
    frozen_by text NOT NULL,
    sha256 text NOT NULL,
    document bytea NOT NULL
);

CREATE FUNCTION period_figures_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'frozen figures stay: freeze them again instead' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER period_figures_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON period_figures
    FOR EACH STATEMENT EXECUTE FUNCTION period_figures_stay();

CREATE INDEX period_figures_period ON period_figures (period, as_of);

CREATE INDEX obligations_period ON obligations (period, agency);
