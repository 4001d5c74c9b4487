"""Calls of the model: their values, their prices, and the models themselves."""
