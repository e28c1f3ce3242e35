"""Board (bảng theo dõi): supervisors see who is behind, since when and why; an agency sees what they see of it."""
