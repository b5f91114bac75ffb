"""Find out which choice helps a Keras network, and by how much."""
