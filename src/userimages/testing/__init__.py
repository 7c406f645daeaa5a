"""For test suites of users and of third-party backends."""
