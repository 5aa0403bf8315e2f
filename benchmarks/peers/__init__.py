"""The packages that somebody would use instead: an app with each, as its documentation says, and tuned."""
