"""The demo web: three small Persian health sites on loopback, the test bed of the crawler and of the whole road."""
