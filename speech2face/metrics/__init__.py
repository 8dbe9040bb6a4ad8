"""Measures of Sec. 4: similarity, recall, agreement, intervals, exact search."""
