"""Record-building jobs from options to data set folder, and their inspection."""
