"""Information requests between agencies (phối hợp, trao đổi thông tin): who asks whom, and what is answered."""
