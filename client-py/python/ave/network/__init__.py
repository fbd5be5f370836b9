"""What concerns connections themselves."""
