"""A server, or an Auth, under what somebody sends to wear it out, a module for each way."""
