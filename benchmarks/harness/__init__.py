"""What times one app beside another, and says how sure that is."""
