"""Cases whose truth was planted: generators that do not change, and how often a measure finds what was put there."""
