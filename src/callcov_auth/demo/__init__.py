"""The small CallCov that ``callcov-auth demo`` serves."""
