CREATE INDEX registry_officers_of_agency ON registry ((record ->> 'agency'), key) WHERE kind = 'officer';

CREATE INDEX standings_owed ON standings (agency, deadline, obligation) WHERE standing <> 'fulfilled';
