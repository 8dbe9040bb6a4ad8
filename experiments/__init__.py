"""One command per table and figure of the paper, and what they share."""
