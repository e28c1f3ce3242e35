-- A draft that is gone may still stand on somebody's page; the next one of that report has another number.

CREATE SEQUENCE draft_versions;

SELECT setval('draft_versions', max(version)) FROM drafts HAVING max(version) IS NOT NULL;
