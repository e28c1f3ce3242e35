-- traceparent (W3C Trace Context) of the event that it tells of; the mail goes out later, in the same trace.
ALTER TABLE notifications ADD COLUMN traceparent text;
