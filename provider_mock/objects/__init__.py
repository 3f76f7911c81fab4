"""What the simulated provider keeps beside payments: shapes, storage, how it is told."""
