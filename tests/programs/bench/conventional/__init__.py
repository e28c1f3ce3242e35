"""The conventional build: FastAPI with an ORM session per request, publish after commit, and one handler
call and one transaction per message. It loses events when a process dies between commit and publish; that is the point
of measuring what the difference costs.
"""
