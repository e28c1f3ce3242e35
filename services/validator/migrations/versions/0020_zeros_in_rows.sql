-- Rows are not kept: of a report whose figures are all 0 nobody knows now whether its rows said more. With "true" the
-- next report of zeros, which may be honest, would be returned for saying 0 where the last one did not.
UPDATE verdict SET any_nonzero = NULL
 WHERE any_nonzero AND figures IS NOT NULL
   AND NOT jsonb_path_exists(figures, '$.* ? (@ like_regex "[1-9]")');
