"""Through the front door: real servers, real sockets, real clients."""
