"""The smallest provider that keeps the contract; start here to write your own."""
