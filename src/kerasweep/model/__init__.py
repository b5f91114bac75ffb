"""Networks: the builder, its parts, shape arithmetic, and the plain Keras twin that is saved."""
