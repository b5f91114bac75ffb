"""Networks: the builder, its shape check, and the plain Keras twin that is saved."""
