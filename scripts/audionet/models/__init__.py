"""What a saved classifier needs to answer: backbone, head, open-set detector, similarity."""
