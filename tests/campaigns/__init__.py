"""Campaigns: hours of what a stranger or a power cut may do, in numbers.

    make campaign
    python -m tests.campaigns --only=media --seed=3 --case=1234     one case again

Each prints how many cases it tried and how many were survived. `test_campaigns.py` runs
a few cases of each as ordinary tests.
"""
