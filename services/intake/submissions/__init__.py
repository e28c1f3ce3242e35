"""A report on its way in: read exactly, admitted or refused with every reason, stored once with its event."""
