CREATE TABLE open_reviews (
    kind text NOT NULL,
    about uuid NOT NULL,
    obligation text NOT NULL,
    agency text NOT NULL,
    regime text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (kind, about)
);

CREATE INDEX open_reviews_of_obligation ON open_reviews (obligation);

CREATE INDEX open_reviews_oldest ON open_reviews (since, about);

CREATE INDEX open_reviews_of_agency ON open_reviews (agency, since, about);

CREATE INDEX open_reviews_of_regime ON open_reviews (regime, since, about);

-- What was asked before, and has no answer.
INSERT INTO open_reviews (kind, about, obligation, agency, regime, since)
SELECT CASE kind WHEN 'extension_requested' THEN 'extension' WHEN 'explanation_given' THEN 'explanation'
                 ELSE 'appeal' END,
       step_id, obligation, agency, split_part(obligation, '/', 2), at
  FROM steps AS asked
 WHERE kind IN ('extension_requested', 'explanation_given', 'appeal_made')
   AND NOT EXISTS (SELECT FROM steps WHERE steps.answers = asked.step_id);

-- Of each report the newest accepted version, where its regime asks for a signature or a review that it lacks.
INSERT INTO open_reviews (kind, about, obligation, agency, regime, since)
SELECT CASE WHEN wanted.certification <> 'none' AND NOT 'certified' = ANY (taken.kinds) THEN 'certification'
            ELSE 'review' END,
       newest.submission_id, newest.obligation, newest.agency, newest.regime, newest.decided_at
  FROM (SELECT DISTINCT ON (s.obligation) s.*, v.decided_at, v.findings
          FROM submissions AS s JOIN verdicts AS v USING (submission_id)
         WHERE v.outcome = 'accepted' ORDER BY s.obligation, s.version DESC) AS newest
  JOIN (SELECT key, coalesce(record ->> 'certification', 'none') AS certification,
               coalesce(record ->> 'review', 'none') AS review
          FROM registry WHERE kind = 'regime') AS wanted
    ON wanted.key = 'regime/' || newest.regime || '/' || newest.regime_version
 CROSS JOIN LATERAL (SELECT coalesce(array_agg(kind), '{}') AS kinds FROM steps
                      WHERE submission_id = newest.submission_id) AS taken
 WHERE NOT taken.kinds && ARRAY['withdrawn', 'rework', 'approved']
   AND (wanted.certification <> 'none' AND NOT 'certified' = ANY (taken.kinds) OR wanted.review <> 'none');
