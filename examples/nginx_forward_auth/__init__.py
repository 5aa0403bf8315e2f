"""nginx asks ``callcov-auth serve`` about every request to an app that knows nothing of it."""
