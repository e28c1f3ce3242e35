-- '': no remedy belongs to the step.
ALTER TABLE steps ADD COLUMN remedy text NOT NULL DEFAULT '';
